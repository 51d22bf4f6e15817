package judge;

import com.openai.client.OpenAIClient;
import com.openai.client.okhttp.OpenAIOkHttpClient;
import com.openai.errors.OpenAIServiceException;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** OpenAI's SDK for Java: Chat and Responses, streamed and whole. */
public final class Judge {
    private static final Map<String, Kit.Way<OpenAIClient>> WAYS = Map.of(
            "openai-chat stream", Chat::stream,
            "openai-chat whole", Chat::whole,
            "openai-chat models", Judge::models,
            "openai-responses stream", Responses::stream,
            "openai-responses whole", Responses::whole,
            "openai-responses models", Judge::models);

    public static void main(String[] arguments) throws IOException {
        OpenAIClient sdk = OpenAIOkHttpClient.builder()
                .apiKey(System.getenv("API_KEY"))
                .baseUrl(System.getenv("BASE_URL") + "/v1")
                .maxRetries(0)
                .timeout(Duration.ofSeconds(30))
                .build();
        String version = OpenAIClient.class.getPackage().getImplementationVersion();
        Kit.serve(sdk, Map.of("openai-java", version == null ? "4.0.0" : version), WAYS, Judge::status);
        sdk.close();
        System.exit(0);
    }

    private static void models(
            OpenAIClient sdk, Map<String, Object> asked, Map<Integer, List<Object>> natives, Got got) {
        got.models = new ArrayList<>();
        sdk.models().list().autoPager().forEach(model -> got.models.add(model.id()));
    }

    private static Integer status(RuntimeException raised) {
        return raised instanceof OpenAIServiceException refused ? refused.statusCode() : null;
    }
}
