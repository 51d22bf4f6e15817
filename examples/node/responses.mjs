// The Responses API: an answer while it is made, then its tokens.

import OpenAI from "openai";

const client = new OpenAI({
  baseURL: process.env.BASE_URL ?? "http://127.0.0.1:8080/v1",
  apiKey: process.env.API_KEY ?? "any",
});

const stream = await client.responses.create({
  model: process.env.MODEL ?? "sim/text",
  input: process.argv[2] ?? "请写两行关于小溪的诗 🐟",
  stream: true,
});
for await (const event of stream) {
  if (event.type === "response.output_text.delta") process.stdout.write(event.delta);
  if (event.type === "response.completed") {
    const { status, usage } = event.response;
    console.log(`\n[${status}; tokens: ${usage.input_tokens} in, ${usage.output_tokens} out]`);
  }
}
