package example;

import com.openai.client.OpenAIClient;
import com.openai.client.okhttp.OpenAIOkHttpClient;
import com.openai.core.http.StreamResponse;
import com.openai.errors.OpenAIException;
import com.openai.models.responses.ResponseCreateParams;
import com.openai.models.responses.ResponseStreamEvent;

/** The Responses API: shows an answer while it is made, then its tokens. Words after the program's name are the question. */
public final class Answer {
    public static void main(String[] arguments) {
        String question = arguments.length > 0 ? String.join(" ", arguments) : "水边长什么植物？🌿";
        OpenAIClient client = OpenAIOkHttpClient.builder()
                .apiKey(Setting.of("API_KEY", "any"))
                .baseUrl(Setting.of("BASE_URL", "http://127.0.0.1:8080/v1"))
                .build();
        ResponseCreateParams request = ResponseCreateParams.builder()
                .model(Setting.of("MODEL", "sim/text"))
                .input(question)
                .build();
        try (StreamResponse<ResponseStreamEvent> stream = client.responses().createStreaming(request)) {
            stream.stream().forEach(Answer::show);
        } catch (OpenAIException error) {
            System.err.println("error: " + error.getMessage());
            System.exit(1);
        } finally {
            client.close();
        }
    }

    private static void show(ResponseStreamEvent event) {
        event.outputTextDelta().ifPresent(delta -> Terminal.show(delta.delta()));
        event.completed().flatMap(completed -> completed.response().usage()).ifPresent(usage -> Terminal.show(
                "\n[tokens: %d in, %d out]\n".formatted(usage.inputTokens(), usage.outputTokens())));
    }
}
