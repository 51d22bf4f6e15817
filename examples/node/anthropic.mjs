// Anthropic's SDK: an answer while it is made, then why it ended and its tokens.

import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic({
  baseURL: process.env.BASE_URL ?? "http://127.0.0.1:8080/anthropic",
  apiKey: process.env.API_KEY ?? "any",
});

const stream = client.messages
  .stream({
    model: process.env.MODEL ?? "sim/text",
    max_tokens: 1024,
    messages: [{ role: "user", content: process.argv[2] ?? "请写两行关于小溪的诗 🐟" }],
  })
  .on("text", (text) => process.stdout.write(text));
const { stop_reason: ended, usage } = await stream.finalMessage();
console.log(`\n[ended: ${ended}; tokens: ${usage.input_tokens} in, ${usage.output_tokens} out]`);
