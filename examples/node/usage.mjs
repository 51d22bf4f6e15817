// Shows an answer while it is made, then its tokens: they come in a last chunk that has no choices, if asked for.

import OpenAI from "openai";

const client = new OpenAI({
  baseURL: process.env.BASE_URL ?? "http://127.0.0.1:8080/v1",
  apiKey: process.env.API_KEY ?? "any",
});

const stream = await client.chat.completions.create({
  model: process.env.MODEL ?? "sim/text",
  messages: [
    { role: "system", content: "You are a ferryman." },
    { role: "user", content: "你好，请问你是谁？" },
  ],
  stream: true,
  stream_options: { include_usage: true },
});

const pieces = [];
for await (const chunk of stream) {
  if (chunk.choices && chunk.choices.length > 0) {
    const content = chunk.choices[0]?.delta?.content || "";
    process.stdout.write(content);
    pieces.push(content);
  } else if (chunk.usage) {
    console.log(`\n[input tokens: ${chunk.usage.prompt_tokens}]`);
    console.log(`[output tokens: ${chunk.usage.completion_tokens}]`);
    console.log(`[all tokens: ${chunk.usage.total_tokens}]`);
  }
}
console.log(`[characters: ${[...pieces.join("")].length}]`);
