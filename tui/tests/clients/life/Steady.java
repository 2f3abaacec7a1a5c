// Java: `java Steady.java URL INTERVAL_MS`; a stream each time on one connection, none is given up.
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.security.cert.X509Certificate;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManager;
import javax.net.ssl.X509TrustManager;

class Steady {
    static class TrustEverybody implements X509TrustManager {
        public void checkClientTrusted(X509Certificate[] chain, String type) {}
        public void checkServerTrusted(X509Certificate[] chain, String type) {}
        public X509Certificate[] getAcceptedIssuers() { return new X509Certificate[0]; }
    }

    public static void main(String[] words) throws Exception {
        System.setProperty("jdk.internal.httpclient.disableHostnameVerification", "true");
        var context = SSLContext.getInstance("TLS");
        context.init(null, new TrustManager[] {new TrustEverybody()}, null);
        var client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_2).sslContext(context).build();
        var request = HttpRequest.newBuilder(URI.create(words[0])).build();
        // The others join its connection.
        if (client.send(request, BodyHandlers.discarding()).version() != HttpClient.Version.HTTP_2) {
            throw new IllegalStateException("not HTTP/2");
        }
        while (true) {
            client.sendAsync(request, BodyHandlers.discarding()).exceptionally(error -> {
                error.printStackTrace();
                System.exit(1);
                return null;
            });
            Thread.sleep(Long.parseLong(words[1]));
        }
    }
}
