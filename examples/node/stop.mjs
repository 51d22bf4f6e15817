// Stops an answer in the middle. Leaving the loop closes the connection, and the provider stops as well.

import OpenAI from "openai";

const ENOUGH = 5;

const client = new OpenAI({
  baseURL: process.env.BASE_URL ?? "http://127.0.0.1:8080/v1",
  apiKey: process.env.API_KEY ?? "any",
});

const stream = await client.chat.completions.create({
  model: process.env.MODEL ?? "sim/slow",
  messages: [{ role: "user", content: "写一部关于黄河的长篇小说" }],
  stream: true,
});

let pieces = 0;
for await (const chunk of stream) {
  const content = chunk.choices[0]?.delta?.content;
  if (content) {
    process.stdout.write(content);
    pieces += 1;
  }
  if (pieces === ENOUGH) break;
}
console.log(`\n[stopped after ${pieces} pieces]`);
