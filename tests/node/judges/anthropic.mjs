// Anthropic's SDK for Node: Messages as events, whole and with the stream helper.

import Anthropic from "@anthropic-ai/sdk";
import { BASE, KEY, TIMEOUT_MS, all, serve } from "./kit.mjs";

const sdk = new Anthropic({ baseURL: `${BASE}/anthropic`, apiKey: KEY, maxRetries: 0, timeout: TIMEOUT_MS });
const natives = new Map();

function messages(ask) {
  return ask.turns.map((turn) => {
    if ("user" in turn) {
      const pictures = (turn.images ?? []).map((data) => ({
        type: "image",
        source: { type: "base64", media_type: "image/png", data },
      }));
      return { role: "user", content: [...pictures, { type: "text", text: turn.user }] };
    }
    if ("echo" in turn) return { role: "assistant", content: natives.get(turn.echo) };
    if ("results" in turn)
      return {
        role: "user",
        content: turn.results.map((each) => ({
          type: "tool_result",
          tool_use_id: each.id,
          content: [{ type: "text", text: each.text }],
        })),
      };
    const calls = turn.calls.map((call) => ({ type: "tool_use", id: call.id, name: call.name, input: call.parsed }));
    return { role: "assistant", content: [...(turn.said ? [{ type: "text", text: turn.said }] : []), ...calls] };
  });
}

function request(ask) {
  const made = { model: ask.model, messages: messages(ask), max_tokens: ask.max_tokens ?? 4096 };
  if (ask.system) made.system = ask.system;
  if (ask.tools)
    made.tools = ask.tools.map(({ name, description, schema }) => ({ name, description, input_schema: schema }));
  if (ask.stop) made.stop_sequences = ask.stop;
  if (ask.thinking) made.thinking = { type: "enabled", budget_tokens: 1024 };
  if (ask.schema) made.output_config = { format: { type: "json_schema", schema: ask.schema } };
  return made;
}

function readEvent(event, got) {
  if (event.type === "content_block_start" && event.content_block.type === "tool_use")
    got.call(event.index, event.content_block.id, event.content_block.name, "");
  else if (event.type === "content_block_delta") {
    const { delta } = event;
    if (delta.type === "text_delta") got.say(delta.text);
    else if (delta.type === "thinking_delta") got.think(delta.thinking);
    else if (delta.type === "input_json_delta") got.call(event.index, null, null, delta.partial_json);
  } else if (event.type === "message_delta") got.finish = event.delta.stop_reason;
}

function readEnd(message, got) {
  got.finish = message.stop_reason;
  got.native = message.content;
  const { usage } = message;
  const cached = (usage.cache_read_input_tokens ?? 0) + (usage.cache_creation_input_tokens ?? 0);
  got.count(usage.input_tokens + cached, usage.output_tokens, usage.output_tokens_details?.thinking_tokens);
}

const client = {
  natives,
  ways: {
    async helper(ask, got) {
      const stream = sdk.messages.stream(request(ask));
      for await (const event of stream) readEvent(event, got);
      readEnd(await stream.finalMessage(), got);
    },
    async stream(ask, got) {
      let input = 0;
      for await (const event of await sdk.messages.create({ ...request(ask), stream: true })) {
        readEvent(event, got);
        if (event.type === "message_start") input = event.message.usage.input_tokens;
        else if (event.type === "message_delta") got.count(event.usage.input_tokens ?? input, event.usage.output_tokens);
      }
    },
    async whole(ask, got) {
      const message = await sdk.messages.create(request(ask));
      for (const [at, block] of message.content.entries()) {
        if (block.type === "text") got.say(block.text);
        else if (block.type === "thinking") got.think(block.thinking);
        else if (block.type === "tool_use") got.call(at, block.id, block.name, block.input);
      }
      readEnd(message, got);
    },
  },
  models: async () => (await all(sdk.models.list())).map((model) => model.id),
  async count(ask) {
    const { max_tokens, ...made } = request(ask);
    return (await sdk.messages.countTokens(made)).input_tokens;
  },
};

await serve({ anthropic: client }, ["@anthropic-ai/sdk"]);
