// The Vercel AI SDK, with its providers for each dialect: streams, whole answers and its own tool loop.

import { createAnthropic } from "@ai-sdk/anthropic";
import { createGoogleGenerativeAI } from "@ai-sdk/google";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { Output, generateText, jsonSchema, stepCountIs, streamText, tool } from "ai";
import { BASE, KEY, TIMEOUT_MS, serve } from "./kit.mjs";

const openai = createOpenAI({ baseURL: `${BASE}/v1`, apiKey: KEY });
const compatible = createOpenAICompatible({
  name: "thalweg",
  baseURL: `${BASE}/v1`,
  apiKey: KEY,
  includeUsage: true,
  supportsStructuredOutputs: true,
});
const anthropic = createAnthropic({ baseURL: `${BASE}/anthropic/v1`, apiKey: KEY });
const google = createGoogleGenerativeAI({ baseURL: `${BASE}/v1beta`, apiKey: KEY });

const providers = {
  "ai-compatible": {
    model: (name) => compatible(name),
    thinking: { thalweg: { reasoningEffort: "low" } },
  },
  "ai-openai-chat": { model: (name) => openai.chat(name), thinking: { openai: { reasoningEffort: "low" } } },
  "ai-openai": {
    model: (name) => openai.responses(name),
    always: { openai: { store: false, include: ["reasoning.encrypted_content"] } },
    thinking: {
      openai: {
        store: false,
        include: ["reasoning.encrypted_content"],
        forceReasoning: true,
        reasoningEffort: "low",
        reasoningSummary: "auto",
      },
    },
  },
  "ai-anthropic": {
    model: (name) => anthropic(name),
    always: { anthropic: { structuredOutputMode: "outputFormat" } },
    thinking: { anthropic: { thinking: { type: "enabled", budgetTokens: 1024 } } },
  },
  "ai-google": {
    model: (name) => google(name),
    thinking: { google: { thinkingConfig: { includeThoughts: true, thinkingBudget: 1024 } } },
  },
};

function messages(ask, natives) {
  return ask.turns.flatMap((turn) => {
    if ("user" in turn) {
      const pictures = (turn.images ?? []).map((image) => ({ type: "image", image, mediaType: "image/png" }));
      return [{ role: "user", content: [{ type: "text", text: turn.user }, ...pictures] }];
    }
    if ("echo" in turn) return natives.get(turn.echo);
    if ("results" in turn)
      return [
        {
          role: "tool",
          content: turn.results.map((each) => ({
            type: "tool-result",
            toolCallId: each.id,
            toolName: each.name,
            output: { type: "text", value: each.text },
          })),
        },
      ];
    const calls = turn.calls.map((call) => ({
      type: "tool-call",
      toolCallId: call.id,
      toolName: call.name,
      input: call.parsed,
    }));
    return [{ role: "assistant", content: [...(turn.said ? [{ type: "text", text: turn.said }] : []), ...calls] }];
  });
}

function request(provider, ask, natives, called) {
  const made = {
    model: provider.model(ask.model),
    messages: messages(ask, natives),
    maxRetries: 0,
    abortSignal: AbortSignal.timeout(TIMEOUT_MS),
    providerOptions: ask.thinking ? provider.thinking : (provider.always ?? {}),
  };
  if (ask.system) made.system = ask.system;
  if (ask.tools)
    made.tools = Object.fromEntries(
      ask.tools.map(({ name, description, schema, result }) => [
        name,
        tool({
          description,
          inputSchema: jsonSchema(schema),
          ...(called && {
            execute: (given) => {
              called.push([name, given]);
              return result;
            },
          }),
        }),
      ]),
    );
  if (called) made.stopWhen = stepCountIs(8);
  if (ask.max_tokens) made.maxOutputTokens = ask.max_tokens;
  if (ask.stop) made.stopSequences = ask.stop;
  if (ask.schema) made.output = Output.object({ schema: jsonSchema(ask.schema) });
  return made;
}

function readEnd(got, { finishReason, totalUsage, response }) {
  got.finish = finishReason;
  got.native = response.messages;
  got.count(totalUsage.inputTokens, totalUsage.outputTokens, totalUsage.reasoningTokens);
}

async function readStream(result, got) {
  for await (const part of result.fullStream) {
    if (part.type === "text-delta") got.say(part.text);
    else if (part.type === "reasoning-delta") got.think(part.text);
    else if (part.type === "tool-call") got.call(part.toolCallId, part.toolCallId, part.toolName, part.input);
    else if (part.type === "error") throw part.error instanceof Error ? part.error : new Error(told(part.error));
    else if (part.type === "finish") {
      got.finish = part.finishReason;
      got.count(part.totalUsage.inputTokens, part.totalUsage.outputTokens, part.totalUsage.reasoningTokens);
    }
  }
  got.native = (await result.response).messages;
}

// An error that came in the stream is a plain object or a string.
const told = (error) => (typeof error === "string" ? error : (error?.message ?? JSON.stringify(error)));

function client(provider) {
  const natives = new Map();
  return {
    natives,
    ways: {
      async stream(ask, got) {
        await readStream(streamText({ ...request(provider, ask, natives), onError() {} }), got);
      },
      async whole(ask, got) {
        const result = await generateText(request(provider, ask, natives));
        got.say(result.text);
        got.think(result.reasoningText);
        for (const call of result.toolCalls) got.call(call.toolCallId, call.toolCallId, call.toolName, call.input);
        readEnd(got, result);
      },
      // The SDK runs the tools and goes on by itself.
      async "own loop"(ask, got) {
        const called = [];
        got.more.called = called;
        await readStream(streamText({ ...request(provider, ask, natives, called), onError() {} }), got);
        got.calls.clear();
      },
      async "own loop, whole"(ask, got) {
        const called = [];
        got.more.called = called;
        const result = await generateText(request(provider, ask, natives, called));
        got.say(result.text);
        readEnd(got, result);
      },
    },
  };
}

const clients = Object.fromEntries(Object.entries(providers).map(([name, provider]) => [name, client(provider)]));
await serve(clients, ["ai", "@ai-sdk/openai-compatible", "@ai-sdk/openai", "@ai-sdk/anthropic", "@ai-sdk/google"]);
