package judge;

import com.openai.client.OpenAIClient;
import com.openai.core.JsonValue;
import com.openai.core.http.StreamResponse;
import com.openai.models.chat.completions.ChatCompletion;
import com.openai.models.chat.completions.ChatCompletionChunk;
import com.openai.models.chat.completions.ChatCompletionCreateParams;
import com.openai.models.completions.CompletionUsage;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** Chat Completions. */
final class Chat {
    private Chat() {}

    static void stream(OpenAIClient sdk, Map<String, Object> asked, Map<Integer, List<Object>> natives, Got got) {
        ChatCompletionCreateParams request = request(asked, natives)
                .putAdditionalBodyProperty("stream_options", JsonValue.from(Map.of("include_usage", true)))
                .build();
        try (StreamResponse<ChatCompletionChunk> stream = sdk.chat().completions().createStreaming(request)) {
            stream.stream().forEach(chunk -> read(chunk, got));
        }
        got.echo = List.of(message(got));
    }

    static void whole(OpenAIClient sdk, Map<String, Object> asked, Map<Integer, List<Object>> natives, Got got) {
        ChatCompletion answer = sdk.chat().completions().create(request(asked, natives).build());
        answer.usage().ifPresent(usage -> count(usage, got));
        ChatCompletion.Choice choice = answer.choices().get(0);
        choice.message().content().ifPresent(got::say);
        think(choice.message()._additionalProperties(), got);
        long at = 0;
        for (var each : choice.message().toolCalls().orElse(List.of())) {
            Got.Call call = got.call(at++);
            call.id = each.asFunction().id();
            call.name = each.asFunction().function().name();
            call.arguments.append(each.asFunction().function().arguments());
        }
        got.finish = choice.finishReason().asString();
        got.echo = List.of(choice.message().toParam());
    }

    private static void read(ChatCompletionChunk chunk, Got got) {
        chunk.usage().ifPresent(usage -> count(usage, got));
        for (ChatCompletionChunk.Choice choice : chunk.choices()) {
            ChatCompletionChunk.Choice.Delta delta = choice.delta();
            delta.content().ifPresent(got::say);
            think(delta._additionalProperties(), got);
            for (var piece : delta.toolCalls().orElse(List.of())) {
                Got.Call call = got.call(piece.index());
                piece.id().ifPresent(id -> call.id = id);
                piece.function().flatMap(function -> function.name()).ifPresent(name -> call.name = name);
                piece.function().flatMap(function -> function.arguments()).ifPresent(text -> call.arguments.append(text));
            }
            choice.finishReason().ifPresent(reason -> got.finish = reason.asString());
        }
    }

    private static void count(CompletionUsage usage, Got got) {
        got.count(usage.promptTokens(), usage.completionTokens());
    }

    private static void think(Map<String, JsonValue> more, Got got) {
        JsonValue thought = more.get("reasoning_content");
        String text = thought == null ? null : thought.convert(String.class);
        if (text != null) {
            got.think(text);
        }
    }

    /** The answer of a stream as an application puts it together. */
    private static Object message(Got got) {
        Map<String, Object> message = Read.fields("role", "assistant", "content", got.text());
        List<Object> calls = new ArrayList<>();
        got.calls().forEach(call -> calls.add(called(call.id, call.name, call.arguments.toString())));
        if (!calls.isEmpty()) {
            message.put("tool_calls", calls);
        }
        return message;
    }

    private static Object called(Object id, Object name, Object arguments) {
        return Read.fields("id", id, "type", "function", "function", Read.fields("name", name, "arguments", arguments));
    }

    private static ChatCompletionCreateParams.Builder request(
            Map<String, Object> asked, Map<Integer, List<Object>> natives) {
        ChatCompletionCreateParams.Builder request = ChatCompletionCreateParams.builder()
                .model((String) asked.get("model"))
                .messages(JsonValue.from(messages(asked, natives)));
        List<Object> tools = new ArrayList<>();
        for (Map<String, Object> tool : Read.objects(asked.get("tools"))) {
            tools.add(Read.fields("type", "function", "function", Read.fields(
                    "name", tool.get("name"), "description", tool.get("description"), "parameters", tool.get("schema"))));
        }
        if (!tools.isEmpty()) {
            request.putAdditionalBodyProperty("tools", JsonValue.from(tools));
        }
        for (String name : List.of("max_tokens", "stop")) {
            if (asked.get(name) != null) {
                request.putAdditionalBodyProperty(name, JsonValue.from(asked.get(name)));
            }
        }
        if (Boolean.TRUE.equals(asked.get("thinking"))) {
            request.putAdditionalBodyProperty("reasoning_effort", JsonValue.from("low"));
        }
        if (asked.get("schema") != null) {
            Object shape = Read.fields("name", "answer", "schema", asked.get("schema"), "strict", true);
            request.putAdditionalBodyProperty(
                    "response_format", JsonValue.from(Read.fields("type", "json_schema", "json_schema", shape)));
        }
        return request;
    }

    private static List<Object> messages(Map<String, Object> asked, Map<Integer, List<Object>> natives) {
        List<Object> messages = new ArrayList<>();
        if (asked.get("system") != null) {
            messages.add(Read.fields("role", "system", "content", asked.get("system")));
        }
        for (Map<String, Object> turn : Read.objects(asked.get("turns"))) {
            if (turn.containsKey("user")) {
                List<Object> content = new ArrayList<>();
                content.add(Read.fields("type", "text", "text", turn.get("user")));
                for (String picture : Read.strings(turn.get("images"))) {
                    Object url = Read.fields("url", "data:image/png;base64," + picture);
                    content.add(Read.fields("type", "image_url", "image_url", url));
                }
                messages.add(Read.fields("role", "user", "content", content));
            } else if (turn.containsKey("echo")) {
                messages.addAll(natives.get((Integer) turn.get("echo")));
            } else if (turn.containsKey("results")) {
                for (Map<String, Object> result : Read.objects(turn.get("results"))) {
                    messages.add(Read.fields(
                            "role", "tool", "tool_call_id", result.get("id"), "content", result.get("text")));
                }
            } else {
                Map<String, Object> message = Read.fields("role", "assistant", "content", turn.get("said"));
                List<Object> calls = new ArrayList<>();
                Read.objects(turn.get("calls"))
                        .forEach(call -> calls.add(called(call.get("id"), call.get("name"), call.get("arguments"))));
                if (!calls.isEmpty()) {
                    message.put("tool_calls", calls);
                }
                messages.add(message);
            }
        }
        return messages;
    }
}
