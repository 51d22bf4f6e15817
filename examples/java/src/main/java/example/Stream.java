package example;

import com.openai.client.OpenAIClient;
import com.openai.client.okhttp.OpenAIOkHttpClient;
import com.openai.core.http.StreamResponse;
import com.openai.errors.OpenAIException;
import com.openai.models.chat.completions.ChatCompletionChunk;
import com.openai.models.chat.completions.ChatCompletionCreateParams;
import com.openai.models.chat.completions.ChatCompletionStreamOptions;

/** Shows an answer while it is made, then its tokens. Words after the program's name are the question. */
public final class Stream {
    public static void main(String[] arguments) {
        String question = arguments.length > 0 ? String.join(" ", arguments) : "水边长什么植物？🌿";
        OpenAIClient client = OpenAIOkHttpClient.builder()
                .apiKey(Setting.of("API_KEY", "any"))
                .baseUrl(Setting.of("BASE_URL", "http://127.0.0.1:8080/v1"))
                .build();
        ChatCompletionCreateParams request = ChatCompletionCreateParams.builder()
                .model(Setting.of("MODEL", "sim/text"))
                .addUserMessage(question)
                .streamOptions(ChatCompletionStreamOptions.builder().includeUsage(true).build())
                .build();
        // Leaving the block closes the connection, also when an error leaves it.
        try (StreamResponse<ChatCompletionChunk> stream = client.chat().completions().createStreaming(request)) {
            stream.stream().forEach(Stream::show);
        } catch (OpenAIException error) {
            System.err.println("error: " + error.getMessage());
            System.exit(1);
        } finally {
            client.close();
        }
    }

    private static void show(ChatCompletionChunk chunk) {
        chunk.choices().forEach(choice -> choice.delta().content().ifPresent(Terminal::show));
        chunk.usage().ifPresent(usage ->
                Terminal.show("\n[tokens: %d in, %d out]\n".formatted(usage.promptTokens(), usage.completionTokens())));
    }
}
