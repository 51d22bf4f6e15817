package judge;

import com.volcengine.ark.runtime.model.Usage;
import com.volcengine.ark.runtime.model.completion.chat.ChatCompletionChoice;
import com.volcengine.ark.runtime.model.completion.chat.ChatCompletionChunk;
import com.volcengine.ark.runtime.model.completion.chat.ChatCompletionContentPart;
import com.volcengine.ark.runtime.model.completion.chat.ChatCompletionContentPart.ChatCompletionContentPartImageURL;
import com.volcengine.ark.runtime.model.completion.chat.ChatCompletionRequest;
import com.volcengine.ark.runtime.model.completion.chat.ChatCompletionRequest.ChatCompletionRequestResponseFormat;
import com.volcengine.ark.runtime.model.completion.chat.ChatCompletionRequest.ChatCompletionRequestStreamOptions;
import com.volcengine.ark.runtime.model.completion.chat.ChatCompletionRequest.ChatCompletionRequestThinking;
import com.volcengine.ark.runtime.model.completion.chat.ChatCompletionResult;
import com.volcengine.ark.runtime.model.completion.chat.ChatFunction;
import com.volcengine.ark.runtime.model.completion.chat.ChatFunctionCall;
import com.volcengine.ark.runtime.model.completion.chat.ChatMessage;
import com.volcengine.ark.runtime.model.completion.chat.ChatMessageRole;
import com.volcengine.ark.runtime.model.completion.chat.ChatTool;
import com.volcengine.ark.runtime.model.completion.chat.ChatToolCall;
import com.volcengine.ark.runtime.model.completion.chat.ResponseFormatJSONSchemaJSONSchemaParam;
import com.volcengine.ark.runtime.service.ArkService;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** Chat Completions, by the SDK's own builders. */
final class ArkChat {
    private ArkChat() {}

    static void stream(ArkService sdk, Map<String, Object> asked, Map<Integer, List<Object>> natives, Got got) {
        ChatCompletionRequest request = request(asked, natives)
                .stream(true)
                .streamOptions(ChatCompletionRequestStreamOptions.of(true))
                .build();
        // With `blockingForEach` an error overtakes the chunks before it.
        sdk.streamChatCompletion(request).doOnNext(chunk -> read(chunk, got)).blockingSubscribe();
        if (got.finish == null) {
            // The SDK says nothing of a stream without an end; the finish reason is what an application looks for.
            throw new IllegalStateException("the stream ended without a finish reason");
        }
        got.echo = List.of(message(got));
    }

    static void whole(ArkService sdk, Map<String, Object> asked, Map<Integer, List<Object>> natives, Got got) {
        ChatCompletionResult answer = sdk.createChatCompletion(request(asked, natives).build());
        count(answer.getUsage(), got);
        ChatCompletionChoice choice = answer.getChoices().get(0);
        ChatMessage message = choice.getMessage();
        said(message, got);
        long at = 0;
        for (ChatToolCall each : calls(message)) {
            Got.Call call = got.call(at++);
            call.id = each.getId();
            call.name = each.getFunction().getName();
            call.arguments.append(each.getFunction().getArguments());
        }
        got.finish = choice.getFinishReason();
        got.echo = List.of(message);
    }

    private static void read(ChatCompletionChunk chunk, Got got) {
        count(chunk.getUsage(), got);
        for (ChatCompletionChoice choice : chunk.getChoices()) {
            said(choice.getMessage(), got);
            for (ChatToolCall piece : calls(choice.getMessage())) {
                Got.Call call = got.call(piece.getIndex());
                if (piece.getId() != null) {
                    call.id = piece.getId();
                }
                if (piece.getFunction().getName() != null) {
                    call.name = piece.getFunction().getName();
                }
                if (piece.getFunction().getArguments() != null) {
                    call.arguments.append(piece.getFunction().getArguments());
                }
            }
            if (choice.getFinishReason() != null) {
                got.finish = choice.getFinishReason();
            }
        }
    }

    private static void said(ChatMessage message, Got got) {
        if (message.getContent() != null) {
            got.say(message.stringContent());
        }
        if (message.getReasoningContent() != null) {
            got.think(message.getReasoningContent());
        }
    }

    private static List<ChatToolCall> calls(ChatMessage message) {
        return message.getToolCalls() == null ? List.of() : message.getToolCalls();
    }

    private static void count(Usage usage, Got got) {
        if (usage != null) {
            got.count(usage.getPromptTokens(), usage.getCompletionTokens());
        }
    }

    /** The answer of a stream as an application puts it together. */
    private static ChatMessage message(Got got) {
        List<ChatToolCall> calls = new ArrayList<>();
        got.calls().forEach(call -> calls.add(called(call.id, call.name, call.arguments.toString())));
        ChatMessage message = assistant(got.text(), calls);
        if (!got.reasoning().isEmpty()) {
            message.setReasoningContent(got.reasoning());
        }
        return message;
    }

    private static ChatMessage assistant(String text, List<ChatToolCall> calls) {
        return ChatMessage.builder()
                .role(ChatMessageRole.ASSISTANT)
                .content(text)
                .toolCalls(calls.isEmpty() ? null : calls)
                .build();
    }

    private static ChatToolCall called(Object id, Object name, Object arguments) {
        return new ChatToolCall((String) id, "function", new ChatFunctionCall((String) name, (String) arguments));
    }

    private static ChatCompletionRequest.Builder request(
            Map<String, Object> asked, Map<Integer, List<Object>> natives) {
        ChatCompletionRequest.Builder request = ChatCompletionRequest.builder()
                .model((String) asked.get("model"))
                .messages(messages(asked, natives))
                .maxTokens((Integer) asked.get("max_tokens"));
        List<ChatTool> tools = new ArrayList<>();
        for (Map<String, Object> tool : Read.objects(asked.get("tools"))) {
            tools.add(new ChatTool("function", new ChatFunction.Builder()
                    .name((String) tool.get("name"))
                    .description((String) tool.get("description"))
                    .parameters(tool.get("schema"))
                    .build()));
        }
        if (!tools.isEmpty()) {
            request.tools(tools);
        }
        if (asked.get("stop") != null) {
            request.stop(Read.strings(asked.get("stop")));
        }
        if (Boolean.TRUE.equals(asked.get("thinking"))) {
            request.thinking(new ChatCompletionRequestThinking("enabled"));
        }
        if (asked.get("schema") != null) {
            var shape = new ResponseFormatJSONSchemaJSONSchemaParam(
                    "answer", null, Read.JSON.valueToTree(asked.get("schema")), true);
            request.responseFormat(new ChatCompletionRequestResponseFormat("json_schema", shape));
        }
        return request;
    }

    private static List<ChatMessage> messages(Map<String, Object> asked, Map<Integer, List<Object>> natives) {
        List<ChatMessage> messages = new ArrayList<>();
        if (asked.get("system") != null) {
            messages.add(ChatMessage.builder()
                    .role(ChatMessageRole.SYSTEM)
                    .content((String) asked.get("system"))
                    .build());
        }
        for (Map<String, Object> turn : Read.objects(asked.get("turns"))) {
            if (turn.containsKey("user")) {
                messages.add(user(turn));
            } else if (turn.containsKey("echo")) {
                natives.get((Integer) turn.get("echo")).forEach(message -> messages.add((ChatMessage) message));
            } else if (turn.containsKey("results")) {
                for (Map<String, Object> result : Read.objects(turn.get("results"))) {
                    messages.add(ChatMessage.builder()
                            .role(ChatMessageRole.TOOL)
                            .toolCallId((String) result.get("id"))
                            .content((String) result.get("text"))
                            .build());
                }
            } else {
                List<ChatToolCall> calls = new ArrayList<>();
                Read.objects(turn.get("calls"))
                        .forEach(call -> calls.add(called(call.get("id"), call.get("name"), call.get("arguments"))));
                messages.add(assistant((String) turn.get("said"), calls));
            }
        }
        return messages;
    }

    private static ChatMessage user(Map<String, Object> turn) {
        ChatMessage.Builder message = ChatMessage.builder().role(ChatMessageRole.USER);
        List<String> pictures = Read.strings(turn.get("images"));
        if (pictures.isEmpty()) {
            return message.content((String) turn.get("user")).build();
        }
        List<ChatCompletionContentPart> content = new ArrayList<>();
        content.add(ChatCompletionContentPart.builder()
                .type("text")
                .text((String) turn.get("user"))
                .build());
        for (String picture : pictures) {
            content.add(ChatCompletionContentPart.builder()
                    .type("image_url")
                    .imageUrl(new ChatCompletionContentPartImageURL("data:image/png;base64," + picture))
                    .build());
        }
        return message.multiContent(content).build();
    }
}
