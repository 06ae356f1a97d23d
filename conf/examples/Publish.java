// SPDX-License-Identifier: Apache-2.0
import java.io.IOException;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.time.Duration;

class Publish {
    static final String URL = "http://127.0.0.1:8081";
    static final HttpClient CLIENT = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();

    static String publish(String channel, String json) throws IOException, InterruptedException {
        String path = URLEncoder.encode(channel, StandardCharsets.UTF_8).replace("+", "%20");
        HttpRequest request = HttpRequest.newBuilder(URI.create(URL + "/pub/" + path))
                .header("Content-Type", "application/json")
                .timeout(Duration.ofSeconds(5))
                .POST(HttpRequest.BodyPublishers.ofString(json))
                .build();
        HttpResponse<String> answer = CLIENT.send(request, HttpResponse.BodyHandlers.ofString());
        if (answer.statusCode() != 200)
            throw new IOException(channel + ": " + answer.body());
        return answer.headers().firstValue("Fanhorn-Id").orElseThrow();
    }

    public static void main(String[] args) throws Exception {
        System.out.println(publish("chat:room1", "{\"text\":\"from Java\"}"));
    }
}
