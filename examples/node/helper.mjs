// Leaves the adding up to the SDK's own stream helper.

import OpenAI from "openai";

const client = new OpenAI({
  baseURL: process.env.BASE_URL ?? "http://127.0.0.1:8080/v1",
  apiKey: process.env.API_KEY ?? "any",
});

const stream = client.chat.completions.stream({
  model: process.env.MODEL ?? "sim/text",
  messages: [{ role: "user", content: "请说说运河 🚢" }],
  stream_options: { include_usage: true },
});

let text = "";
stream.on("content", (delta) => {
  text += delta;
  process.stdout.write(delta);
});

const final = await stream.finalChatCompletion();
const { message, finish_reason: reason } = final.choices[0];
console.log(`\n[${message.role}, ended: ${reason}, the same text: ${message.content === text}]`);
if (final.usage) {
  console.log(`[tokens: ${final.usage.prompt_tokens} in, ${final.usage.completion_tokens} out]`);
}
