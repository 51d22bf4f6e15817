package example;

import com.openai.client.OpenAIClient;
import com.openai.client.okhttp.OpenAIOkHttpClient;
import com.openai.core.http.StreamResponse;
import com.openai.models.chat.completions.ChatCompletionChunk;
import com.openai.models.chat.completions.ChatCompletionCreateParams;

/** Stops in the middle: closing the stream closes the connection, and the upstream is released. */
public final class Stop {
    private static final int ENOUGH = 5;

    public static void main(String[] arguments) {
        OpenAIClient client = OpenAIOkHttpClient.builder()
                .apiKey(Setting.of("API_KEY", "any"))
                .baseUrl(Setting.of("BASE_URL", "http://127.0.0.1:8080/v1"))
                .build();
        ChatCompletionCreateParams request = ChatCompletionCreateParams.builder()
                .model(Setting.of("MODEL", "sim/slow"))
                .addUserMessage("讲一条长河的故事")
                .build();
        try (StreamResponse<ChatCompletionChunk> stream = client.chat().completions().createStreaming(request)) {
            stream.stream()
                    .flatMap(chunk -> chunk.choices().stream())
                    .flatMap(choice -> choice.delta().content().stream())
                    .filter(piece -> !piece.isEmpty())
                    .limit(ENOUGH)
                    .forEach(Terminal::show);
        }
        Terminal.show("\n[stopped after %d pieces]\n".formatted(ENOUGH));
        client.close();
    }
}
