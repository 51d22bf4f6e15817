// Shows an answer while it is made.

import OpenAI from "openai";

const client = new OpenAI({
  baseURL: process.env.BASE_URL ?? "http://127.0.0.1:8080/v1",
  apiKey: process.env.API_KEY ?? "any",
});

const stream = await client.chat.completions.create({
  model: process.env.MODEL ?? "sim/text",
  messages: [{ role: "user", content: process.argv[2] ?? "请写两行关于小溪的诗 🐟" }],
  stream: true,
});
for await (const chunk of stream) {
  process.stdout.write(chunk.choices[0]?.delta?.content || "");
}
process.stdout.write("\n");
