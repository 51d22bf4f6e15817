package example;

import com.volcengine.ark.runtime.model.completion.chat.ChatCompletionRequest;
import com.volcengine.ark.runtime.model.completion.chat.ChatMessage;
import com.volcengine.ark.runtime.model.completion.chat.ChatMessageRole;
import com.volcengine.ark.runtime.service.ArkService;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.List;

/** Ark's Java SDK at its plainest: the first choice of every chunk that has one. */
final class Plain {
    private Plain() {}

    private static String setting(String name, String otherwise) {
        String value = System.getenv(name);
        return value == null || value.isEmpty() ? otherwise : value;
    }

    public static void main(String[] arguments) {
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        ArkService service = ArkService.builder()
                .apiKey(setting("API_KEY", "any"))
                .baseUrl(setting("BASE_URL", "http://127.0.0.1:8080/api/v3"))
                .build();
        try {
            ChatCompletionRequest request = ChatCompletionRequest.builder()
                    .model(setting("MODEL", "sim/text"))
                    .messages(List.of(ChatMessage.builder()
                            .role(ChatMessageRole.USER)
                            .content("水边有哪些植物？🌿")
                            .build()))
                    .stream(true)
                    .build();
            service.streamChatCompletion(request).blockingForEach(chunk -> {
                if (chunk.getChoices() != null && !chunk.getChoices().isEmpty()) {
                    out.print(chunk.getChoices().get(0).getMessage().getContent());
                }
            });
            out.println();
        } finally {
            service.shutdownExecutor();
        }
    }
}
