import co.elastic.clients.elasticsearch.ElasticsearchClient;
import com.sun.net.httpserver.HttpServer;
import java.net.*;
import java.util.concurrent.Executors;

/** One search of a server that finds nothing. */
public class Search {
    public static void main(String[] args) throws Exception {
        HttpServer server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        server.createContext("/", e -> {
            byte[] body = "{\"took\":1,\"timed_out\":false,\"_shards\":{\"total\":1,\"successful\":1,\"failed\":0},\"hits\":{\"hits\":[]}}".getBytes();
            e.getRequestBody().readAllBytes();
            e.getResponseHeaders().add("Content-Type", "application/vnd.elasticsearch+json;compatible-with=9");
            e.getResponseHeaders().add("X-Elastic-Product", "Elasticsearch");
            e.sendResponseHeaders(200, body.length);
            e.getResponseBody().write(body);
            e.close();
        });
        server.start();
        try (ElasticsearchClient client = ElasticsearchClient.of(b -> b.host("http://127.0.0.1:" + server.getAddress().getPort()))) {
            client.search(s -> s.index("orders").query(q -> q.term(t -> t.field("owner").value("a-term"))), Object.class);
        }
        server.stop(0);
    }
}
