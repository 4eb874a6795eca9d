import com.sun.net.httpserver.HttpServer;
import java.net.*;
import java.util.concurrent.*;

/** Requests whose handlers hand work to the JDK's executor and to one of the application's own. */
public class Pools {
    static class Own implements Executor {
        final BlockingQueue<Runnable> queue = new LinkedBlockingQueue<>();

        Own() {
            Thread thread = new Thread(() -> {
                try {
                    while (true) queue.take().run();
                } catch (InterruptedException e) {
                    return;
                }
            });
            thread.setDaemon(true);
            thread.start();
        }

        public void execute(Runnable task) {
            queue.add(task);
        }
    }

    static void get(int port, String path) {
        try {
            ((HttpURLConnection) new URL("http://127.0.0.1:" + port + path).openConnection()).getResponseCode();
        } catch (Exception e) {
            throw new RuntimeException(e);
        }
    }

    public static void main(String[] args) throws Exception {
        ExecutorService jdk = Executors.newSingleThreadExecutor();
        Own own = new Own();
        ExecutorService serving = Executors.newCachedThreadPool();
        HttpServer server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        int port = server.getAddress().getPort();
        server.setExecutor(serving);
        server.createContext("/", e -> {
            String path = e.getRequestURI().getPath();
            CountDownLatch done = new CountDownLatch(1);
            Runnable work = () -> {
                get(port, path + "/leaf");
                done.countDown();
            };
            if (path.equals("/jdk")) jdk.execute(work);
            else if (path.equals("/own")) own.execute(work);
            else done.countDown();
            try {
                done.await();
            } catch (InterruptedException x) {
                throw new RuntimeException(x);
            }
            e.sendResponseHeaders(200, -1);
            e.close();
        });
        server.start();
        get(port, "/jdk");
        get(port, "/own");
        server.stop(0);
        serving.shutdown();
        jdk.shutdown();
    }
}
