import java.io.FileInputStream;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

/** Two requests, one after the other, with one HttpClient: what does it see when the first one's connection is reset? */
public class JavaClient {
    public static void main(String[] arguments) throws Exception {
        HttpClient client = HttpClient.newBuilder().sslContext(trusting(arguments[1])).build();
        for (int number = 1; number <= 2; number++) {
            String outcome;
            try {
                HttpRequest request = HttpRequest.newBuilder(URI.create(arguments[0])).build();
                HttpResponse<String> response = client.send(request, HttpResponse.BodyHandlers.ofString());
                outcome = response.version() + " " + response.statusCode();
            } catch (IOException error) {
                outcome = error.toString();
            }
            System.out.printf("Java %s, request %d: %s%n", System.getProperty("java.version"), number, outcome);
        }
    }

    private static SSLContext trusting(String path) throws Exception {
        KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
        store.load(null);
        try (FileInputStream file = new FileInputStream(path)) {
            store.setCertificateEntry("netsplit", CertificateFactory.getInstance("X.509").generateCertificate(file));
        }
        TrustManagerFactory managers = TrustManagerFactory.getInstance("PKIX");
        managers.init(store);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, managers.getTrustManagers(), null);
        return context;
    }
}
