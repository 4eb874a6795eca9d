import java.io.*;
import java.net.*;
import java.util.regex.*;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.Message;

/** One message to a broker that says yes to everything and is its own name server. */
public class Send {
    static void serve(Socket socket, int port) {
        try (DataInputStream in = new DataInputStream(socket.getInputStream()); DataOutputStream out = new DataOutputStream(socket.getOutputStream())) {
            while (true) {
                int length = in.readInt(), head = in.readInt() & 0xffffff;
                byte[] header = in.readNBytes(head);
                in.readNBytes(length - 4 - head);
                String text = new String(header);
                byte[] body = new byte[0];
                String fields = "{\"msgId\":\"7F000001000000000000000000000001\",\"queueId\":\"0\",\"queueOffset\":\"0\"}";
                if (text.matches(".*\"code\":105\\b.*")) {
                    body = ("{\"brokerDatas\":[{\"brokerAddrs\":{\"0\":\"127.0.0.1:" + port + "\"},\"brokerName\":\"b\",\"cluster\":\"c\"}],\"filterServerTable\":{},"
                        + "\"queueDatas\":[{\"brokerName\":\"b\",\"perm\":6,\"readQueueNums\":1,\"topicSysFlag\":0,\"writeQueueNums\":1}]}").getBytes();
                }
                Matcher opaque = Pattern.compile("\"opaque\":(\\d+)").matcher(text);
                opaque.find();
                byte[] answer = ("{\"code\":0,\"flag\":1,\"language\":\"JAVA\",\"opaque\":" + opaque.group(1) + ",\"serializeTypeCurrentRPC\":\"JSON\",\"version\":399,\"extFields\":"
                    + fields + "}").getBytes();
                out.writeInt(4 + answer.length + body.length);
                out.writeInt(answer.length);
                out.write(answer);
                out.write(body);
                out.flush();
            }
        } catch (IOException e) {
            return; // the client left
        }
    }

    public static void main(String[] args) throws Exception {
        ServerSocket server = new ServerSocket(0, 50, InetAddress.getLoopbackAddress());
        Thread accept = new Thread(() -> {
            while (true) {
                try {
                    Socket socket = server.accept();
                    Thread thread = new Thread(() -> serve(socket, server.getLocalPort()));
                    thread.setDaemon(true);
                    thread.start();
                } catch (IOException e) {
                    return;
                }
            }
        });
        accept.setDaemon(true);
        accept.start();
        DefaultMQProducer producer = new DefaultMQProducer("shop");
        producer.setNamesrvAddr("127.0.0.1:" + server.getLocalPort());
        producer.setVipChannelEnabled(false);
        producer.start();
        producer.send(new Message("orders", "a-tag", "a-key", "body".getBytes()));
        producer.shutdown();
        System.exit(0);
    }
}
