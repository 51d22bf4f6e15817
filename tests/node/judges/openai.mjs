// OpenAI's SDK for Node: Chat and Responses, streams, whole answers and the stream helpers.

import OpenAI from "openai";
import { BASE, KEY, TIMEOUT_MS, all, dataUrl, serve } from "./kit.mjs";

const sdk = new OpenAI({ baseURL: `${BASE}/v1`, apiKey: KEY, maxRetries: 0, timeout: TIMEOUT_MS });

function chatMessages(ask, natives) {
  const messages = ask.system ? [{ role: "system", content: ask.system }] : [];
  for (const turn of ask.turns) {
    if ("user" in turn) {
      const pictures = (turn.images ?? []).map((each) => ({ type: "image_url", image_url: { url: dataUrl(each) } }));
      const content = pictures.length ? [{ type: "text", text: turn.user }, ...pictures] : turn.user;
      messages.push({ role: "user", content });
    } else if ("echo" in turn) {
      messages.push(natives.get(turn.echo));
    } else if ("results" in turn) {
      for (const each of turn.results) messages.push({ role: "tool", tool_call_id: each.id, content: each.text });
    } else {
      const calls = turn.calls.map((call) => ({
        id: call.id,
        type: "function",
        function: { name: call.name, arguments: call.arguments },
      }));
      messages.push({ role: "assistant", content: turn.said || null, ...(calls.length && { tool_calls: calls }) });
    }
  }
  return messages;
}

function chatRequest(ask, natives) {
  const request = { model: ask.model, messages: chatMessages(ask, natives) };
  if (ask.tools)
    request.tools = ask.tools.map(({ name, description, schema }) => ({
      type: "function",
      function: { name, description, parameters: schema },
    }));
  if (ask.max_tokens) request.max_tokens = ask.max_tokens;
  if (ask.stop) request.stop = ask.stop;
  if (ask.thinking) request.reasoning_effort = "low";
  if (ask.schema)
    request.response_format = {
      type: "json_schema",
      json_schema: { name: "answer", schema: ask.schema, strict: true },
    };
  return request;
}

function countChat(got, usage) {
  if (usage)
    got.count(usage.prompt_tokens, usage.completion_tokens, usage.completion_tokens_details?.reasoning_tokens);
}

function readChunk(chunk, got, message) {
  countChat(got, chunk.usage);
  for (const choice of chunk.choices) {
    const { delta } = choice;
    got.say(delta.content);
    got.think(delta.reasoning_content);
    for (const call of delta.tool_calls ?? []) got.call(call.index, call.id, call.function?.name, call.function?.arguments);
    gather(message, delta);
    got.finish = choice.finish_reason ?? got.finish;
  }
}

// An assistant's message as applications put it together: everything that the deltas had.
function gather(message, delta) {
  for (const [name, value] of Object.entries(delta)) {
    if (name === "role" || value === null || value === undefined) continue;
    if (name === "tool_calls") {
      message.tool_calls ??= [];
      for (const { index, function: piece, ...more } of value) {
        const call = (message.tool_calls[index] ??= { function: { name: "", arguments: "" } });
        call.function.name ||= piece?.name ?? "";
        call.function.arguments += piece?.arguments ?? "";
        Object.assign(call, more);
      }
    } else if (typeof value === "string") message[name] = (message[name] ?? "") + value;
    else if (Array.isArray(value)) message[name] = [...(message[name] ?? []), ...value];
    else message[name] = value;
  }
}

const chat = {
  natives: new Map(),
  ways: {
    async stream(ask, got) {
      const request = chatRequest(ask, chat.natives);
      const message = { role: "assistant" };
      const stream = await sdk.chat.completions.create({
        ...request,
        stream: true,
        stream_options: { include_usage: true },
      });
      for await (const chunk of stream) readChunk(chunk, got, message);
      got.native = message;
    },
    async whole(ask, got) {
      const answer = await sdk.chat.completions.create(chatRequest(ask, chat.natives));
      const [choice] = answer.choices;
      countChat(got, answer.usage);
      got.say(choice.message.content);
      got.think(choice.message.reasoning_content);
      for (const [at, call] of (choice.message.tool_calls ?? []).entries())
        got.call(at, call.id, call.function.name, call.function.arguments);
      got.finish = choice.finish_reason;
      got.native = choice.message;
    },
    async helper(ask, got) {
      const stream = sdk.chat.completions.stream({
        ...chatRequest(ask, chat.natives),
        stream_options: { include_usage: true },
      });
      for await (const chunk of stream) readChunk(chunk, got, { role: "assistant" });
      const answer = await stream.finalChatCompletion();
      const [choice] = answer.choices;
      if ((choice.message.content ?? "") !== got.text) throw new Error("the helper's text is not what was streamed");
      got.native = choice.message;
    },
  },
  models: async () => (await all(sdk.models.list())).map((model) => model.id),
};

function items(ask, natives) {
  const input = [];
  for (const turn of ask.turns) {
    if ("user" in turn) {
      const pictures = (turn.images ?? []).map((each) => ({
        type: "input_image",
        image_url: dataUrl(each),
        detail: "auto",
      }));
      const content = pictures.length ? [{ type: "input_text", text: turn.user }, ...pictures] : turn.user;
      input.push({ role: "user", content });
    } else if ("echo" in turn) {
      input.push(...natives.get(turn.echo));
    } else if ("results" in turn) {
      for (const each of turn.results) input.push({ type: "function_call_output", call_id: each.id, output: each.text });
    } else {
      if (turn.said) input.push({ role: "assistant", content: turn.said });
      for (const call of turn.calls)
        input.push({ type: "function_call", call_id: call.id, name: call.name, arguments: call.arguments });
    }
  }
  return input;
}

function responseRequest(ask, natives) {
  const request = {
    model: ask.model,
    input: items(ask, natives),
    store: false,
    include: ["reasoning.encrypted_content"],
  };
  if (ask.system) request.instructions = ask.system;
  if (ask.tools)
    request.tools = ask.tools.map(({ name, description, schema }) => ({
      type: "function",
      name,
      description,
      parameters: schema,
      strict: false,
    }));
  if (ask.max_tokens) request.max_output_tokens = ask.max_tokens;
  if (ask.thinking) request.reasoning = { effort: "low", summary: "auto" };
  if (ask.schema)
    request.text = { format: { type: "json_schema", name: "answer", schema: ask.schema, strict: true } };
  return request;
}

function readEvent(event, got) {
  if (event.type === "response.output_text.delta") got.say(event.delta);
  else if (event.type === "response.reasoning_summary_text.delta" || event.type === "response.reasoning_text.delta")
    got.think(event.delta);
  else if (event.type === "response.output_item.added" && event.item.type === "function_call")
    got.call(event.output_index, event.item.call_id, event.item.name, "");
  else if (event.type === "response.function_call_arguments.delta") got.call(event.output_index, null, null, event.delta);
  else if (event.type === "response.completed" || event.type === "response.incomplete") readEnd(event.response, got);
  else if (event.type === "response.failed") throw new Error(`response.failed: ${event.response.error?.message}`);
}

function readEnd(answer, got) {
  const why = answer.incomplete_details?.reason;
  got.finish = answer.status === "incomplete" && why ? `incomplete: ${why}` : answer.status;
  got.native = answer.output;
  if (answer.usage)
    got.count(
      answer.usage.input_tokens,
      answer.usage.output_tokens,
      answer.usage.output_tokens_details?.reasoning_tokens,
    );
}

const responses = {
  natives: new Map(),
  ways: {
    async stream(ask, got) {
      const stream = await sdk.responses.create({ ...responseRequest(ask, responses.natives), stream: true });
      for await (const event of stream) readEvent(event, got);
    },
    async whole(ask, got) {
      const answer = await sdk.responses.create(responseRequest(ask, responses.natives));
      for (const [at, item] of answer.output.entries()) {
        if (item.type === "message") for (const part of item.content) got.say(part.text);
        else if (item.type === "reasoning")
          for (const part of [...(item.summary ?? []), ...(item.content ?? [])]) got.think(part.text);
        else if (item.type === "function_call") got.call(at, item.call_id, item.name, item.arguments);
      }
      readEnd(answer, got);
    },
    async helper(ask, got) {
      const stream = sdk.responses.stream(responseRequest(ask, responses.natives));
      for await (const event of stream) readEvent(event, got);
      const answer = await stream.finalResponse();
      if (answer.output_text !== got.text) throw new Error("the helper's text is not what was streamed");
      // What the helper has parsed is not for sending back.
      got.native = answer.output.map(({ parsed_arguments, ...item }) => item);
    },
  },
  models: chat.models,
};

await serve({ "openai-chat": chat, "openai-responses": responses }, ["openai"]);
