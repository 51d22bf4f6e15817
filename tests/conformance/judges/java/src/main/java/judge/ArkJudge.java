package judge;

import com.volcengine.ark.runtime.exception.ArkHttpException;
import com.volcengine.ark.runtime.service.ArkService;
import java.io.IOException;
import java.time.Duration;
import java.util.Map;
import java.util.Properties;

/** Ark's SDK for Java: Chat and Responses, streamed and whole. */
public final class ArkJudge {
    private static final String ABOUT = "/META-INF/maven/com.volcengine/volcengine-java-sdk-ark-runtime/pom.properties";
    private static final Map<String, Kit.Way<ArkService>> WAYS = Map.of(
            "openai-chat stream", ArkChat::stream,
            "openai-chat whole", ArkChat::whole,
            "openai-responses stream", ArkResponses::stream,
            "openai-responses whole", ArkResponses::whole);

    public static void main(String[] arguments) throws IOException {
        ArkService sdk = ArkService.builder()
                .apiKey(System.getenv("API_KEY"))
                .baseUrl(System.getenv("BASE_URL") + "/api/v3")
                .retryTimes(0)
                .timeout(Duration.ofSeconds(30))
                .build();
        Properties about = new Properties();
        try (var file = ArkService.class.getResourceAsStream(ABOUT)) {
            about.load(file);
        }
        Map<String, String> versions = Map.of(about.getProperty("artifactId"), about.getProperty("version"));
        Kit.serve(sdk, versions, WAYS, ArkJudge::status);
        sdk.shutdownExecutor();
        System.exit(0);
    }

    private static Integer status(RuntimeException raised) {
        return raised instanceof ArkHttpException refused ? refused.statusCode : null;
    }
}
