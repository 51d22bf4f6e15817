// Google's SDK: an answer while it is made, then its tokens.

import { GoogleGenAI } from "@google/genai";

const client = new GoogleGenAI({
  apiKey: process.env.API_KEY ?? "any",
  httpOptions: { baseUrl: process.env.BASE_URL ?? "http://127.0.0.1:8080" },
});

const stream = await client.models.generateContentStream({
  model: process.env.MODEL ?? "sim/text",
  contents: process.argv[2] ?? "请写两行关于小溪的诗 🐟",
});
let usage;
for await (const chunk of stream) {
  process.stdout.write(chunk.text ?? "");
  usage = chunk.usageMetadata ?? usage;
}
console.log(`\n[tokens: ${usage.promptTokenCount} in, ${usage.candidatesTokenCount} out]`);
