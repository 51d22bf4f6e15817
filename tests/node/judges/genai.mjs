// Google's SDK for Node: generateContent, streams, whole answers and chats.

import { GoogleGenAI } from "@google/genai";
import { BASE, KEY, TIMEOUT_MS, all, serve } from "./kit.mjs";

const sdk = new GoogleGenAI({ apiKey: KEY, httpOptions: { baseUrl: BASE, timeout: TIMEOUT_MS } });
const natives = new Map();
const chats = new Map();

function content(turn) {
  if ("user" in turn) {
    const pictures = (turn.images ?? []).map((data) => ({ inlineData: { mimeType: "image/png", data } }));
    return { role: "user", parts: [...pictures, { text: turn.user }] };
  }
  if ("echo" in turn) return natives.get(turn.echo);
  if ("results" in turn)
    return {
      role: "user",
      parts: turn.results.map((each) => ({
        functionResponse: { id: each.id, name: each.name, response: { result: each.text } },
      })),
    };
  const calls = turn.calls.map((call) => ({ functionCall: { id: call.id, name: call.name, args: call.parsed } }));
  return { role: "model", parts: [...(turn.said ? [{ text: turn.said }] : []), ...calls] };
}

function config(ask) {
  const made = {};
  if (ask.system) made.systemInstruction = ask.system;
  if (ask.tools)
    made.tools = [
      {
        functionDeclarations: ask.tools.map(({ name, description, schema }) => ({
          name,
          description,
          parametersJsonSchema: schema,
        })),
      },
    ];
  if (ask.max_tokens) made.maxOutputTokens = ask.max_tokens;
  if (ask.stop) made.stopSequences = ask.stop;
  if (ask.thinking) made.thinkingConfig = { includeThoughts: true, thinkingBudget: 1024 };
  if (ask.schema) Object.assign(made, { responseMimeType: "application/json", responseJsonSchema: ask.schema });
  return made;
}

function read(chunk, got) {
  got.native ??= { role: "model", parts: [] };
  for (const candidate of chunk.candidates ?? []) {
    for (const part of candidate.content?.parts ?? []) {
      got.native.parts.push(part);
      if (part.text) part.thought ? got.think(part.text) : got.say(part.text);
      if (part.functionCall)
        got.call(got.native.parts.length, part.functionCall.id, part.functionCall.name, part.functionCall.args ?? {});
    }
    got.finish = candidate.finishReason ?? got.finish;
  }
  if (chunk.promptFeedback?.blockReason) got.finish = `blocked: ${chunk.promptFeedback.blockReason}`;
  const usage = chunk.usageMetadata;
  if (usage) {
    const thought = usage.thoughtsTokenCount ?? 0;
    got.count(usage.promptTokenCount, (usage.candidatesTokenCount ?? 0) + thought, thought);
  }
}

const client = {
  natives,
  ways: {
    async stream(ask, got) {
      const stream = await sdk.models.generateContentStream({
        model: ask.model,
        contents: ask.turns.map(content),
        config: config(ask),
      });
      for await (const chunk of stream) read(chunk, got);
    },
    async whole(ask, got) {
      read(
        await sdk.models.generateContent({ model: ask.model, contents: ask.turns.map(content), config: config(ask) }),
        got,
      );
    },
    // The SDK keeps the history: only the last turn is said.
    async chat(ask, got) {
      const echoed = ask.turns.findLast((turn) => "echo" in turn);
      const chat = echoed ? chats.get(echoed.echo) : sdk.chats.create({ model: ask.model, config: config(ask) });
      const stream = await chat.sendMessageStream({ message: content(ask.turns.at(-1)).parts });
      for await (const chunk of stream) read(chunk, got);
      chats.set(ask.id, chat);
    },
  },
  models: async () => (await all(await sdk.models.list())).map((each) => each.name.replace(/^models\//, "")),
  async count(ask) {
    return (await sdk.models.countTokens({ model: ask.model, contents: ask.turns.map(content) })).totalTokens;
  },
};

await serve({ gemini: client }, ["@google/genai"]);
