package judge;

import com.volcengine.ark.runtime.model.responses.common.ResponsesText;
import com.volcengine.ark.runtime.model.responses.common.ResponsesTextFormat;
import com.volcengine.ark.runtime.model.responses.common.ResponsesThinking;
import com.volcengine.ark.runtime.model.responses.content.InputContentItem;
import com.volcengine.ark.runtime.model.responses.content.InputContentItemImage;
import com.volcengine.ark.runtime.model.responses.content.InputContentItemText;
import com.volcengine.ark.runtime.model.responses.content.OutputContentItem;
import com.volcengine.ark.runtime.model.responses.content.OutputContentItemText;
import com.volcengine.ark.runtime.model.responses.content.ReasoningSummaryPart;
import com.volcengine.ark.runtime.model.responses.event.ErrorEvent;
import com.volcengine.ark.runtime.model.responses.event.StreamEvent;
import com.volcengine.ark.runtime.model.responses.event.functioncall.FunctionCallArgumentsDeltaEvent;
import com.volcengine.ark.runtime.model.responses.event.outputitem.OutputItemAddedEvent;
import com.volcengine.ark.runtime.model.responses.event.outputtext.OutputTextDeltaEvent;
import com.volcengine.ark.runtime.model.responses.event.reasoningsummary.ReasoningSummaryTextDeltaEvent;
import com.volcengine.ark.runtime.model.responses.event.response.ResponseCompletedEvent;
import com.volcengine.ark.runtime.model.responses.event.response.ResponseFailedEvent;
import com.volcengine.ark.runtime.model.responses.event.response.ResponseInCompleteEvent;
import com.volcengine.ark.runtime.model.responses.item.BaseItem;
import com.volcengine.ark.runtime.model.responses.item.InputItem;
import com.volcengine.ark.runtime.model.responses.item.ItemEasyMessage;
import com.volcengine.ark.runtime.model.responses.item.ItemFunctionToolCall;
import com.volcengine.ark.runtime.model.responses.item.ItemFunctionToolCallOutput;
import com.volcengine.ark.runtime.model.responses.item.ItemOutputMessage;
import com.volcengine.ark.runtime.model.responses.item.ItemReasoning;
import com.volcengine.ark.runtime.model.responses.item.MessageContent;
import com.volcengine.ark.runtime.model.responses.request.CreateResponsesRequest;
import com.volcengine.ark.runtime.model.responses.request.ResponsesInput;
import com.volcengine.ark.runtime.model.responses.response.ResponseObject;
import com.volcengine.ark.runtime.model.responses.tool.ResponsesTool;
import com.volcengine.ark.runtime.model.responses.tool.ToolFunction;
import com.volcengine.ark.runtime.service.ArkService;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** Responses, without anything stored, by the SDK's own builders. */
final class ArkResponses {
    private ArkResponses() {}

    static void stream(ArkService sdk, Map<String, Object> asked, Map<Integer, List<Object>> natives, Got got) {
        CreateResponsesRequest request = request(asked, natives).stream(true).build();
        // With `blockingForEach` an error overtakes the events before it.
        sdk.streamResponse(request).doOnNext(event -> read(event, got)).blockingSubscribe();
        if (got.finish == null) {
            throw new IllegalStateException("the stream ended without response.completed");
        }
    }

    static void whole(ArkService sdk, Map<String, Object> asked, Map<Integer, List<Object>> natives, Got got) {
        ResponseObject answer = sdk.createResponse(request(asked, natives).build());
        long at = 0;
        for (BaseItem item : answer.getOutput()) {
            long key = at++;
            if (item instanceof ItemOutputMessage message) {
                got.say(text(message));
            } else if (item instanceof ItemReasoning reasoning) {
                for (ReasoningSummaryPart part : reasoning.getSummary()) {
                    got.think(part.getText());
                }
            } else if (item instanceof ItemFunctionToolCall made) {
                begin(made, key, got).arguments.append(made.getArguments());
            }
        }
        end(answer, got);
    }

    private static void read(StreamEvent event, Got got) {
        if (event instanceof OutputTextDeltaEvent text) {
            got.say(text.getDelta());
        } else if (event instanceof ReasoningSummaryTextDeltaEvent thought) {
            got.think(thought.getDelta());
        } else if (event instanceof OutputItemAddedEvent added
                && added.getItem() instanceof ItemFunctionToolCall made) {
            begin(made, added.getOutputIndex(), got);
        } else if (event instanceof FunctionCallArgumentsDeltaEvent piece) {
            got.call(piece.getOutputIndex()).arguments.append(piece.getDelta());
        } else if (event instanceof ResponseCompletedEvent completed) {
            end(completed.getResponse(), got);
        } else if (event instanceof ResponseInCompleteEvent incomplete) {
            end(incomplete.getResponse(), got);
        } else if (event instanceof ResponseFailedEvent) {
            throw new IllegalStateException("response.failed");
        } else if (event instanceof ErrorEvent error) {
            throw new IllegalStateException(error.getMessage());
        }
    }

    private static Got.Call begin(ItemFunctionToolCall made, long key, Got got) {
        Got.Call call = got.call(key);
        call.id = made.getCallId();
        call.name = made.getName();
        return call;
    }

    private static void end(ResponseObject answer, Got got) {
        got.finish = answer.getIncompleteDetails() == null
                ? answer.getStatus()
                : "incomplete: " + answer.getIncompleteDetails().getReason();
        if (answer.getUsage() != null) {
            got.count(answer.getUsage().getInputTokens(), answer.getUsage().getOutputTokens());
        }
        got.echo = echo(answer);
    }

    /**
     * What of an answer can be an item of the next input. The SDK's types let calls be one as they are, but neither a
     * message of the answer, which is given back as its text, nor a thought.
     */
    private static List<Object> echo(ResponseObject answer) {
        List<Object> items = new ArrayList<>();
        for (BaseItem item : answer.getOutput()) {
            if (item instanceof InputItem as) {
                items.add(as);
            } else if (item instanceof ItemOutputMessage message) {
                items.add(message("assistant", MessageContent.builder().stringValue(text(message))));
            }
        }
        return items;
    }

    private static String text(ItemOutputMessage message) {
        StringBuilder text = new StringBuilder();
        for (OutputContentItem part : message.getContent()) {
            if (part instanceof OutputContentItemText piece) {
                text.append(piece.getText());
            }
        }
        return text.toString();
    }

    private static InputItem message(String role, MessageContent.Builder content) {
        return ItemEasyMessage.builder().role(role).content(content.build()).build();
    }

    private static CreateResponsesRequest.Builder request(
            Map<String, Object> asked, Map<Integer, List<Object>> natives) {
        Integer most = (Integer) asked.get("max_tokens");
        CreateResponsesRequest.Builder request = CreateResponsesRequest.builder()
                .model((String) asked.get("model"))
                .input(ResponsesInput.builder().listValue(items(asked, natives)).build())
                .instructions((String) asked.get("system"))
                .maxOutputTokens(most == null ? null : most.longValue())
                .store(false);
        List<ResponsesTool> tools = new ArrayList<>();
        for (Map<String, Object> tool : Read.objects(asked.get("tools"))) {
            tools.add(ToolFunction.builder()
                    .name((String) tool.get("name"))
                    .description((String) tool.get("description"))
                    .parameters(Read.JSON.valueToTree(tool.get("schema")))
                    .build());
        }
        if (!tools.isEmpty()) {
            request.tools(tools);
        }
        if (Boolean.TRUE.equals(asked.get("thinking"))) {
            request.thinking(ResponsesThinking.builder().type("enabled").build());
        }
        if (asked.get("schema") != null) {
            request.text(ResponsesText.builder()
                    .format(ResponsesTextFormat.builder()
                            .type("json_schema")
                            .name("answer")
                            .schema(Read.JSON.valueToTree(asked.get("schema")))
                            .strict(true)
                            .build())
                    .build());
        }
        return request;
    }

    private static List<InputItem> items(Map<String, Object> asked, Map<Integer, List<Object>> natives) {
        List<InputItem> items = new ArrayList<>();
        for (Map<String, Object> turn : Read.objects(asked.get("turns"))) {
            if (turn.containsKey("user")) {
                items.add(message("user", MessageContent.builder().listValue(content(turn))));
            } else if (turn.containsKey("echo")) {
                natives.get((Integer) turn.get("echo")).forEach(item -> items.add((InputItem) item));
            } else if (turn.containsKey("results")) {
                for (Map<String, Object> result : Read.objects(turn.get("results"))) {
                    items.add(ItemFunctionToolCallOutput.builder()
                            .callId((String) result.get("id"))
                            .output((String) result.get("text"))
                            .build());
                }
            } else {
                String said = (String) turn.get("said");
                if (!said.isEmpty()) {
                    items.add(message("assistant", MessageContent.builder().stringValue(said)));
                }
                for (Map<String, Object> call : Read.objects(turn.get("calls"))) {
                    items.add(ItemFunctionToolCall.builder()
                            .callId((String) call.get("id"))
                            .name((String) call.get("name"))
                            .arguments((String) call.get("arguments"))
                            .build());
                }
            }
        }
        return items;
    }

    private static List<InputContentItem> content(Map<String, Object> turn) {
        List<InputContentItem> content = new ArrayList<>();
        content.add(InputContentItemText.builder().text((String) turn.get("user")).build());
        for (String picture : Read.strings(turn.get("images"))) {
            content.add(InputContentItemImage.builder()
                    .imageUrl("data:image/png;base64," + picture)
                    .build());
        }
        return content;
    }
}
