package judge;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.openai.client.OpenAIClient;
import com.openai.client.okhttp.OpenAIOkHttpClient;
import com.openai.errors.OpenAIServiceException;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** OpenAI's SDK for Java: Chat and Responses, streamed and whole. The lines it reads and writes: tests/conformance/judge.py. */
public final class Judge {
    static final ObjectMapper JSON = new ObjectMapper();

    /** One way of one client. */
    interface Way {
        void ask(OpenAIClient sdk, Map<String, Object> asked, Map<Integer, List<Object>> natives, Got got);
    }

    private static final Map<String, Way> WAYS = Map.of(
            "openai-chat stream", Chat::stream,
            "openai-chat whole", Chat::whole,
            "openai-responses stream", Responses::stream,
            "openai-responses whole", Responses::whole);

    public static void main(String[] arguments) throws IOException {
        OpenAIClient sdk = OpenAIOkHttpClient.builder()
                .apiKey(System.getenv("API_KEY"))
                .baseUrl(System.getenv("BASE_URL") + "/v1")
                .maxRetries(0)
                .timeout(Duration.ofSeconds(30))
                .build();
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        String version = OpenAIClient.class.getPackage().getImplementationVersion();
        out.println(JSON.writeValueAsString(Map.of("versions", Map.of("openai-java", version == null ? "4.0.0" : version))));
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        Map<Integer, List<Object>> natives = new HashMap<>();
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            out.println(JSON.writeValueAsString(answer(sdk, Read.object(line), natives)));
        }
        sdk.close();
        System.exit(0);
    }

    private static Map<String, Object> answer(
            OpenAIClient sdk, Map<String, Object> asked, Map<Integer, List<Object>> natives) {
        Got got = new Got();
        Map<String, Object> error = null;
        try {
            if (asked.get("way").equals("models")) {
                List<String> names = new ArrayList<>();
                sdk.models().list().autoPager().forEach(model -> names.add(model.id()));
                return Map.of("id", asked.get("id"), "models", names);
            }
            WAYS.get(asked.get("client") + " " + asked.get("way")).ask(sdk, asked, natives, got);
        } catch (RuntimeException raised) {
            error = error(raised);
        }
        natives.put((Integer) asked.get("id"), got.echo);
        Map<String, Object> told = got.told();
        told.put("id", asked.get("id"));
        if (error != null) {
            told.put("error", error);
        }
        return told;
    }

    private static Map<String, Object> error(RuntimeException raised) {
        Map<String, Object> told = new LinkedHashMap<>();
        List<String> kinds = new ArrayList<>();
        for (Class<?> kind = raised.getClass(); kind != RuntimeException.class && kind != null; kind = kind.getSuperclass()) {
            kinds.add(kind.getSimpleName());
        }
        told.put("kinds", kinds);
        told.put("message", String.valueOf(raised.getMessage()));
        if (raised instanceof OpenAIServiceException refused) {
            told.put("status", refused.statusCode());
        }
        return told;
    }
}
