// Java's HttpClient (JSSE): nothing in it can be probed. One HTTP/2 connection; the arguments are those of the rustls client:
// `calls ADDRESS INTERVAL-MS TIMEOUT-MS`, `fallback ADDRESS REQUESTS` and `marked ADDRESS`.
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.security.cert.X509Certificate;
import java.time.Duration;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.TrustManager;
import javax.net.ssl.X509ExtendedTrustManager;

class Client {
    public static void main(String[] arguments) throws Exception {
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, new TrustManager[] {new Anybody()}, null);
        HttpClient client = HttpClient.newBuilder().sslContext(context).version(HttpClient.Version.HTTP_2).build();
        String origin = "https://" + arguments[1];
        if (arguments[0].equals("marked")) {
            marked(client, origin);
        } else if (arguments[0].equals("fallback")) {
            fallback(client, origin, Integer.parseInt(arguments[2]));
        } else {
            calls(client, origin, Long.parseLong(arguments[2]), Long.parseLong(arguments[3]));
        }
    }

    static void calls(HttpClient client, String origin, long intervalMs, long timeoutMs) throws Exception {
        HttpRequest request =
                HttpRequest.newBuilder(URI.create(origin + "/bytes/100")).timeout(Duration.ofMillis(timeoutMs)).build();
        // Alone, so that there is one connection.
        client.send(HttpRequest.newBuilder(URI.create(origin + "/bytes/100")).build(), BodyHandlers.discarding());
        System.out.println("CONNECTED");
        while (true) {
            client.sendAsync(request, BodyHandlers.discarding());
            Thread.sleep(intervalMs);
        }
    }

    /** HTTP/2 is offered and not had. */
    static void fallback(HttpClient client, String origin, int requests) throws Exception {
        HttpRequest request = HttpRequest.newBuilder(URI.create(origin + "/bytes/100")).build();
        for (int i = 0; i < requests; i++) {
            if (client.send(request, BodyHandlers.discarding()).version() != HttpClient.Version.HTTP_1_1) {
                throw new IllegalStateException("not HTTP/1.1");
            }
        }
    }

    static void marked(HttpClient client, String origin) throws Exception {
        HttpRequest request = HttpRequest.newBuilder(URI.create(origin + "/echo"))
                .header("x-mark", System.getenv("H2WATCH_MARK_HEADER"))
                .POST(HttpRequest.BodyPublishers.ofString(System.getenv("H2WATCH_MARK_BODY")))
                .build();
        Thread input = new Thread(Client::readToTheEnd);
        input.start();
        while (input.isAlive()) {
            client.send(request, BodyHandlers.discarding());
            Thread.sleep(10);
        }
    }

    static void readToTheEnd() {
        try {
            System.in.transferTo(java.io.OutputStream.nullOutputStream());
        } catch (java.io.IOException error) {
            throw new java.io.UncheckedIOException(error);
        }
    }

    /** The servers of these tests sign their own certificates. */
    static class Anybody extends X509ExtendedTrustManager {
        public void checkClientTrusted(X509Certificate[] chain, String type) {}
        public void checkServerTrusted(X509Certificate[] chain, String type) {}
        public void checkClientTrusted(X509Certificate[] chain, String type, java.net.Socket socket) {}
        public void checkServerTrusted(X509Certificate[] chain, String type, java.net.Socket socket) {}
        public void checkClientTrusted(X509Certificate[] chain, String type, SSLEngine engine) {}
        public void checkServerTrusted(X509Certificate[] chain, String type, SSLEngine engine) {}
        public X509Certificate[] getAcceptedIssuers() {
            return new X509Certificate[0];
        }
    }
}
