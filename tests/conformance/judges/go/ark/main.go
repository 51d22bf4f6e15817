// Ark's SDK for Go: Chat and Responses, streamed and whole. The lines it reads and writes: tests/conformance/judge.py.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"time"

	"github.com/volcengine/volcengine-go-sdk/service/arkruntime"
	"github.com/volcengine/volcengine-go-sdk/service/arkruntime/model"
	"github.com/volcengine/volcengine-go-sdk/service/arkruntime/model/responses"
)

const (
	module  = "github.com/volcengine/volcengine-go-sdk"
	timeout = 30 * time.Second
)

type object = map[string]any

type ask struct {
	ID        int      `json:"id"`
	Client    string   `json:"client"`
	Way       string   `json:"way"`
	Model     string   `json:"model"`
	System    string   `json:"system"`
	Turns     []turn   `json:"turns"`
	Tools     []tool   `json:"tools"`
	MaxTokens int      `json:"max_tokens"`
	Stop      []string `json:"stop"`
	Schema    any      `json:"schema"`
	Thinking  bool     `json:"thinking"`
}

type turn struct {
	User    *string  `json:"user"`
	Images  []string `json:"images"`
	Echo    int      `json:"echo"`
	Results []result `json:"results"`
	Said    string   `json:"said"`
	Calls   []call   `json:"calls"`
}

type result struct {
	ID   string `json:"id"`
	Text string `json:"text"`
}

type tool struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	Schema      any    `json:"schema"`
}

type call struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	Arguments string `json:"arguments"`
}

// got is what was read of one answer so far.
type got struct {
	text, reasoning  string
	deltas, thoughts int
	calls            []*call
	finish           any
	usage            any
	// native is the answer as the SDK gave it: messages of Chat, or items of Responses.
	native []any
}

func (g *got) say(piece string) {
	if piece != "" {
		g.text += piece
		g.deltas++
	}
}

func (g *got) think(piece string) {
	if piece != "" {
		g.reasoning += piece
		g.thoughts++
	}
}

func (g *got) told() object {
	calls := []object{}
	for _, each := range g.calls {
		var arguments any = object{}
		if each.Arguments != "" && json.Unmarshal([]byte(each.Arguments), &arguments) != nil {
			arguments = object{"_unparsed": each.Arguments}
		}
		calls = append(calls, object{"id": each.ID, "name": each.Name, "arguments": arguments})
	}
	return object{
		"text": g.text, "deltas": g.deltas, "reasoning": g.reasoning, "thoughts": g.thoughts, "calls": calls,
		"finish": g.finish, "usage": g.usage,
	}
}

// read makes a value of the SDK's of what its JSON would be.
func read(from, into any) error {
	written, err := json.Marshal(from)
	if err != nil {
		return err
	}
	return json.Unmarshal(written, into)
}

func picture(bytes string) string { return "data:image/png;base64," + bytes }

func chatMessages(asked ask, natives map[int][]any) []any {
	messages := []any{}
	if asked.System != "" {
		messages = append(messages, object{"role": "system", "content": asked.System})
	}
	for _, each := range asked.Turns {
		switch {
		case each.User != nil:
			messages = append(messages, object{"role": "user", "content": chatContent(each)})
		case each.Echo != 0:
			messages = append(messages, natives[each.Echo]...)
		case each.Results != nil:
			for _, one := range each.Results {
				messages = append(messages, object{"role": "tool", "tool_call_id": one.ID, "content": one.Text})
			}
		default:
			messages = append(messages, careless(each))
		}
	}
	return messages
}

func chatContent(each turn) any {
	if len(each.Images) == 0 {
		return *each.User
	}
	content := []object{{"type": "text", "text": *each.User}}
	for _, one := range each.Images {
		content = append(content, object{"type": "image_url", "image_url": object{"url": picture(one)}})
	}
	return content
}

func careless(each turn) object {
	calls := []object{}
	for _, one := range each.Calls {
		function := object{"name": one.Name, "arguments": one.Arguments}
		calls = append(calls, object{"id": one.ID, "type": "function", "function": function})
	}
	message := object{"role": "assistant", "content": each.Said}
	if len(calls) > 0 {
		message["tool_calls"] = calls
	}
	return message
}

func chatRequest(asked ask, natives map[int][]any) (request model.CreateChatCompletionRequest, err error) {
	body := object{"model": asked.Model, "messages": chatMessages(asked, natives)}
	tools := []object{}
	for _, each := range asked.Tools {
		function := object{"name": each.Name, "description": each.Description, "parameters": each.Schema}
		tools = append(tools, object{"type": "function", "function": function})
	}
	if len(tools) > 0 {
		body["tools"] = tools
	}
	if asked.MaxTokens > 0 {
		body["max_tokens"] = asked.MaxTokens
	}
	if asked.Stop != nil {
		body["stop"] = asked.Stop
	}
	if asked.Thinking {
		body["thinking"] = object{"type": "enabled"}
	}
	if asked.Schema != nil {
		shape := object{"name": "answer", "schema": asked.Schema, "strict": true}
		body["response_format"] = object{"type": "json_schema", "json_schema": shape}
	}
	return request, read(body, &request)
}

func countChat(g *got, usage *model.Usage) {
	if usage != nil {
		g.usage = object{
			"input": usage.PromptTokens, "output": usage.CompletionTokens,
			"reasoning": usage.CompletionTokensDetails.ReasoningTokens,
		}
	}
}

func chatStream(ctx context.Context, client *arkruntime.Client, asked ask, natives map[int][]any, g *got) error {
	request, err := chatRequest(asked, natives)
	if err != nil {
		return err
	}
	request.StreamOptions = &model.StreamOptions{IncludeUsage: true}
	stream, err := client.CreateChatCompletionStream(ctx, request)
	if err != nil {
		return err
	}
	defer stream.Close()
	message := model.ChatCompletionMessage{Role: model.ChatMessageRoleAssistant}
	for {
		chunk, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		countChat(g, chunk.Usage)
		for _, choice := range chunk.Choices {
			readDelta(choice.Delta, g)
			if choice.FinishReason != "" {
				g.finish = string(choice.FinishReason)
			}
		}
	}
	if g.finish == nil {
		// The SDK says nothing of a stream without an end; the finish reason is what an application looks for.
		return errors.New("the stream ended without a finish reason")
	}
	if g.text != "" {
		message.Content = &model.ChatCompletionMessageContent{StringValue: &g.text}
	}
	if g.reasoning != "" {
		message.ReasoningContent = &g.reasoning
	}
	for _, each := range g.calls {
		function := model.FunctionCall{Name: each.Name, Arguments: each.Arguments}
		message.ToolCalls = append(message.ToolCalls, &model.ToolCall{ID: each.ID, Type: model.ToolTypeFunction, Function: function})
	}
	g.native = []any{message}
	return nil
}

func readDelta(delta model.ChatCompletionStreamChoiceDelta, g *got) {
	g.say(delta.Content)
	if delta.ReasoningContent != nil {
		g.think(*delta.ReasoningContent)
	}
	for _, each := range delta.ToolCalls {
		if each.ID != "" && (len(g.calls) == 0 || g.calls[len(g.calls)-1].ID != each.ID) {
			g.calls = append(g.calls, &call{ID: each.ID, Name: each.Function.Name})
		}
		if len(g.calls) > 0 {
			g.calls[len(g.calls)-1].Arguments += each.Function.Arguments
		}
	}
}

func chatWhole(ctx context.Context, client *arkruntime.Client, asked ask, natives map[int][]any, g *got) error {
	request, err := chatRequest(asked, natives)
	if err != nil {
		return err
	}
	answer, err := client.CreateChatCompletion(ctx, request)
	if err != nil {
		return err
	}
	countChat(g, &answer.Usage)
	message := answer.Choices[0].Message
	if message.Content != nil && message.Content.StringValue != nil {
		g.say(*message.Content.StringValue)
	}
	if message.ReasoningContent != nil {
		g.think(*message.ReasoningContent)
	}
	for _, each := range message.ToolCalls {
		g.calls = append(g.calls, &call{each.ID, each.Function.Name, each.Function.Arguments})
	}
	g.finish = string(answer.Choices[0].FinishReason)
	g.native = []any{message}
	return nil
}

func items(asked ask, natives map[int][]any) []any {
	input := []any{}
	for _, each := range asked.Turns {
		switch {
		case each.User != nil:
			input = append(input, object{"type": "message", "role": "user", "content": itemContent(each)})
		case each.Echo != 0:
			input = append(input, natives[each.Echo]...)
		case each.Results != nil:
			for _, one := range each.Results {
				input = append(input, object{"type": "function_call_output", "call_id": one.ID, "output": one.Text})
			}
		default:
			if each.Said != "" {
				input = append(input, object{"type": "message", "role": "assistant", "content": each.Said})
			}
			for _, one := range each.Calls {
				input = append(input, object{
					"type": "function_call", "call_id": one.ID, "name": one.Name, "arguments": one.Arguments,
				})
			}
		}
	}
	return input
}

func itemContent(each turn) any {
	content := []object{{"type": "input_text", "text": *each.User}}
	for _, one := range each.Images {
		content = append(content, object{"type": "input_image", "image_url": picture(one)})
	}
	return content
}

func responseRequest(asked ask, natives map[int][]any) (request *responses.ResponsesRequest, err error) {
	body := object{"model": asked.Model, "input": items(asked, natives), "store": false}
	if asked.System != "" {
		body["instructions"] = asked.System
	}
	tools := []object{}
	for _, each := range asked.Tools {
		tools = append(tools, object{
			"type": "function", "name": each.Name, "description": each.Description, "parameters": each.Schema,
		})
	}
	if len(tools) > 0 {
		body["tools"] = tools
	}
	if asked.MaxTokens > 0 {
		body["max_output_tokens"] = asked.MaxTokens
	}
	if asked.Thinking {
		body["thinking"] = object{"type": "enabled"}
	}
	if asked.Schema != nil {
		body["text"] = object{"format": object{
			"type": "json_schema", "name": "answer", "schema": asked.Schema, "strict": true,
		}}
	}
	request = &responses.ResponsesRequest{}
	return request, read(body, request)
}

func responseStream(ctx context.Context, client *arkruntime.Client, asked ask, natives map[int][]any, g *got) error {
	request, err := responseRequest(asked, natives)
	if err != nil {
		return err
	}
	stream, err := client.CreateResponsesStream(ctx, request)
	if err != nil {
		return err
	}
	defer stream.Close()
	for {
		event, err := stream.Recv()
		if errors.Is(err, io.EOF) || (err == nil && event == nil) {
			break
		}
		if err != nil {
			return err
		}
		if err := readEvent(event, g); err != nil {
			return err
		}
	}
	if g.finish == nil {
		return errors.New("the stream ended without response.completed")
	}
	return nil
}

func readEvent(event *responses.Event, g *got) error {
	switch {
	case event.GetError() != nil:
		return errors.New(event.GetError().GetMessage())
	case event.GetResponseFailed() != nil:
		return errors.New("response.failed")
	case event.GetText() != nil:
		g.say(event.GetText().GetDelta())
	case event.GetReasoningText() != nil:
		g.think(event.GetReasoningText().GetDelta())
	case event.GetReasoningRawTextDelta() != nil:
		g.think(event.GetReasoningRawTextDelta().GetDelta())
	case event.GetItem() != nil && event.GetItem().GetItem().GetFunctionToolCall() != nil:
		made := event.GetItem().GetItem().GetFunctionToolCall()
		g.calls = append(g.calls, &call{ID: made.GetCallId(), Name: made.GetName()})
	case event.GetFunctionCallArguments() != nil:
		g.calls[len(g.calls)-1].Arguments += event.GetFunctionCallArguments().GetDelta()
	case event.GetResponseCompleted() != nil:
		return responseEnd(event.GetResponseCompleted().GetResponse(), g)
	case event.GetResponseIncomplete() != nil:
		return responseEnd(event.GetResponseIncomplete().GetResponse(), g)
	}
	return nil
}

func responseEnd(answer *responses.ResponseObject, g *got) error {
	g.finish = answer.GetStatus().String()
	if why := answer.GetIncompleteDetails().GetReason(); why != "" {
		g.finish = fmt.Sprintf("incomplete: %s", why)
	}
	if usage := answer.GetUsage(); usage != nil {
		g.usage = object{
			"input": usage.GetInputTokens(), "output": usage.GetOutputTokens(),
			"reasoning": usage.GetOutputTokensDetails().GetReasoningTokens(),
		}
	}
	g.native = nil
	return read(answer.GetOutput(), &g.native)
}

func responseWhole(ctx context.Context, client *arkruntime.Client, asked ask, natives map[int][]any, g *got) error {
	request, err := responseRequest(asked, natives)
	if err != nil {
		return err
	}
	answer, err := client.CreateResponses(ctx, request)
	if err != nil {
		return err
	}
	for _, item := range answer.GetOutput() {
		for _, part := range item.GetOutputMessage().GetContent() {
			g.say(part.GetText().GetText())
		}
		for _, part := range item.GetReasoning().GetSummary() {
			g.think(part.GetText())
		}
		for _, part := range item.GetReasoning().GetContent() {
			g.think(part.GetText().GetText())
		}
		if made := item.GetFunctionToolCall(); made != nil {
			g.calls = append(g.calls, &call{made.GetCallId(), made.GetName(), made.GetArguments()})
		}
	}
	return responseEnd(answer, g)
}

type way = func(context.Context, *arkruntime.Client, ask, map[int][]any, *got) error

var ways = map[string]way{
	"openai-chat stream":      chatStream,
	"openai-chat whole":       chatWhole,
	"openai-responses stream": responseStream,
	"openai-responses whole":  responseWhole,
}

func toldError(err error) object {
	var api *model.APIError
	var request *model.RequestError
	status, kind := 0, fmt.Sprintf("%T", err)
	switch {
	case errors.As(err, &api):
		status, kind = api.HTTPStatusCode, "APIError"
	case errors.As(err, &request):
		status, kind = request.HTTPStatusCode, "RequestError"
	}
	told := object{"kinds": []string{kind}, "message": err.Error()}
	if status != 0 {
		told["status"] = status
	}
	return told
}

func version() string {
	if built, ok := debug.ReadBuildInfo(); ok {
		for _, each := range built.Deps {
			if each.Path == module {
				return each.Version
			}
		}
	}
	return "unknown"
}

func answer(client *arkruntime.Client, asked ask, natives map[int][]any) (told object) {
	var g got
	defer func() {
		if panicked := recover(); panicked != nil {
			told = g.told()
			told["error"] = object{"kinds": []string{"panic"}, "message": fmt.Sprint(panicked)}
		}
		told["id"] = asked.ID
	}()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	err := ways[asked.Client+" "+asked.Way](ctx, client, asked, natives, &g)
	told = g.told()
	if err != nil {
		told["error"] = toldError(err)
	}
	natives[asked.ID] = g.native
	return told
}

func main() {
	client := arkruntime.NewClientWithApiKey(
		os.Getenv("API_KEY"), arkruntime.WithBaseUrl(os.Getenv("BASE_URL")+"/api/v3"), arkruntime.WithRetryTimes(0),
	)
	natives := map[int][]any{}
	out := json.NewEncoder(os.Stdout)
	_ = out.Encode(object{"versions": object{"volcengine-go-sdk": version()}})
	lines := bufio.NewReader(os.Stdin)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		var asked ask
		if err := json.Unmarshal(line, &asked); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		_ = out.Encode(answer(client, asked, natives))
	}
}
