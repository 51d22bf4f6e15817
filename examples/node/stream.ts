// The same as stream.mjs in TypeScript, with the SDK's types: shows an answer while it is made, then its tokens.
//
//     npx tsx stream.ts "Which rivers flow into the Baltic?"

import OpenAI from "openai";

const client = new OpenAI({
  baseURL: process.env.BASE_URL ?? "http://127.0.0.1:8080/v1",
  apiKey: process.env.API_KEY ?? "any",
});

async function main(question: string): Promise<void> {
  const stream = await client.chat.completions.create({
    model: process.env.MODEL ?? "sim/text",
    messages: [{ role: "user", content: question }],
    stream: true,
    stream_options: { include_usage: true },
  });
  for await (const chunk of stream) {
    process.stdout.write(chunk.choices[0]?.delta?.content ?? "");
    if (chunk.usage) {
      console.log(`\n[tokens: ${chunk.usage.prompt_tokens} in, ${chunk.usage.completion_tokens} out]`);
    }
  }
}

await main(process.argv[2] ?? "哪些河流入海？🌊");
