package judge;

import com.openai.client.OpenAIClient;
import com.openai.core.JsonValue;
import com.openai.core.http.StreamResponse;
import com.openai.models.responses.Response;
import com.openai.models.responses.ResponseCreateParams;
import com.openai.models.responses.ResponseOutputItem;
import com.openai.models.responses.ResponseStreamEvent;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** Responses, without anything stored. */
final class Responses {
    private Responses() {}

    static void stream(OpenAIClient sdk, Map<String, Object> asked, Map<Integer, List<Object>> natives, Got got) {
        ResponseCreateParams request = request(asked, natives);
        try (StreamResponse<ResponseStreamEvent> stream = sdk.responses().createStreaming(request)) {
            stream.stream().forEach(event -> read(event, got));
        }
        if (got.finish == null) {
            throw new IllegalStateException("the stream ended without response.completed");
        }
    }

    static void whole(OpenAIClient sdk, Map<String, Object> asked, Map<Integer, List<Object>> natives, Got got) {
        Response answer = sdk.responses().create(request(asked, natives));
        long at = 0;
        for (ResponseOutputItem item : answer.output()) {
            long key = at++;
            item.message().ifPresent(message -> message.content()
                    .forEach(part -> part.outputText().ifPresent(text -> got.say(text.text()))));
            item.reasoning().ifPresent(reasoning -> {
                reasoning.summary().forEach(part -> got.think(part.text()));
                reasoning.content().ifPresent(parts -> parts.forEach(part -> got.think(part.text())));
            });
            item.functionCall().ifPresent(made -> {
                Got.Call call = got.call(key);
                call.id = made.callId();
                call.name = made.name();
                call.arguments.append(made.arguments());
            });
        }
        end(answer, got);
    }

    private static void read(ResponseStreamEvent event, Got got) {
        event.outputTextDelta().ifPresent(delta -> got.say(delta.delta()));
        event.reasoningSummaryTextDelta().ifPresent(delta -> got.think(delta.delta()));
        event.reasoningTextDelta().ifPresent(delta -> got.think(delta.delta()));
        event.outputItemAdded().ifPresent(added -> added.item().functionCall().ifPresent(made -> {
            Got.Call call = got.call(added.outputIndex());
            call.id = made.callId();
            call.name = made.name();
        }));
        event.functionCallArgumentsDelta()
                .ifPresent(delta -> got.call(delta.outputIndex()).arguments.append(delta.delta()));
        event.completed().ifPresent(completed -> end(completed.response(), got));
        event.incomplete().ifPresent(incomplete -> end(incomplete.response(), got));
        event.failed().ifPresent(failed -> {
            throw new IllegalStateException("response.failed");
        });
        event.error().ifPresent(error -> {
            throw new IllegalStateException(error.message());
        });
    }

    private static void end(Response answer, Got got) {
        got.finish = answer.status().map(Object::toString).orElse(null);
        answer.incompleteDetails()
                .flatMap(Response.IncompleteDetails::reason)
                .ifPresent(reason -> got.finish = "incomplete: " + reason.asString());
        answer.usage().ifPresent(usage -> got.count(usage.inputTokens(), usage.outputTokens()));
        got.echo = new ArrayList<>(answer.output());
    }

    private static ResponseCreateParams request(Map<String, Object> asked, Map<Integer, List<Object>> natives) {
        ResponseCreateParams.Builder request = ResponseCreateParams.builder()
                .model((String) asked.get("model"))
                .putAdditionalBodyProperty("input", JsonValue.from(items(asked, natives)))
                .putAdditionalBodyProperty("store", JsonValue.from(false))
                .putAdditionalBodyProperty("include", JsonValue.from(List.of("reasoning.encrypted_content")));
        if (asked.get("system") != null) {
            request.instructions((String) asked.get("system"));
        }
        List<Object> tools = new ArrayList<>();
        for (Map<String, Object> tool : Read.objects(asked.get("tools"))) {
            tools.add(Read.fields(
                    "type", "function", "name", tool.get("name"), "description", tool.get("description"),
                    "parameters", tool.get("schema"), "strict", false));
        }
        if (!tools.isEmpty()) {
            request.putAdditionalBodyProperty("tools", JsonValue.from(tools));
        }
        if (asked.get("max_tokens") != null) {
            request.maxOutputTokens(((Integer) asked.get("max_tokens")).longValue());
        }
        if (Boolean.TRUE.equals(asked.get("thinking"))) {
            request.putAdditionalBodyProperty(
                    "reasoning", JsonValue.from(Read.fields("effort", "low", "summary", "auto")));
        }
        if (asked.get("schema") != null) {
            Object format = Read.fields(
                    "type", "json_schema", "name", "answer", "schema", asked.get("schema"), "strict", true);
            request.putAdditionalBodyProperty("text", JsonValue.from(Read.fields("format", format)));
        }
        return request.build();
    }

    private static List<Object> items(Map<String, Object> asked, Map<Integer, List<Object>> natives) {
        List<Object> items = new ArrayList<>();
        for (Map<String, Object> turn : Read.objects(asked.get("turns"))) {
            if (turn.containsKey("user")) {
                List<Object> content = new ArrayList<>();
                content.add(Read.fields("type", "input_text", "text", turn.get("user")));
                for (String picture : Read.strings(turn.get("images"))) {
                    String url = "data:image/png;base64," + picture;
                    content.add(Read.fields("type", "input_image", "image_url", url, "detail", "auto"));
                }
                items.add(Read.fields("role", "user", "content", content));
            } else if (turn.containsKey("echo")) {
                items.addAll(natives.get((Integer) turn.get("echo")));
            } else if (turn.containsKey("results")) {
                for (Map<String, Object> result : Read.objects(turn.get("results"))) {
                    items.add(Read.fields(
                            "type", "function_call_output", "call_id", result.get("id"), "output", result.get("text")));
                }
            } else {
                if (!((String) turn.get("said")).isEmpty()) {
                    items.add(Read.fields("role", "assistant", "content", turn.get("said")));
                }
                for (Map<String, Object> call : Read.objects(turn.get("calls"))) {
                    items.add(Read.fields(
                            "type", "function_call", "call_id", call.get("id"), "name", call.get("name"),
                            "arguments", call.get("arguments")));
                }
            }
        }
        return items;
    }
}
