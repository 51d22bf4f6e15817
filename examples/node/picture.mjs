// Asks about a picture: one that is sent along, or one at an address that is given as the argument.

import OpenAI from "openai";

// 8 × 8 pixels, all of one blue.
const BLUE =
  "data:image/png;base64," +
  "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAEUlEQVR42mOQizqBFTEMLQkAGBlQAUe2mrMAAAAASUVORK5CYII=";

const client = new OpenAI({
  baseURL: process.env.BASE_URL ?? "http://127.0.0.1:8080/v1",
  apiKey: process.env.API_KEY ?? "any",
});

const stream = await client.chat.completions.create({
  model: process.env.MODEL ?? "sim/text",
  messages: [
    {
      role: "user",
      content: [
        { type: "image_url", image_url: { url: process.argv[2] ?? BLUE } },
        { type: "text", text: "这张图片里有什么？" },
      ],
    },
  ],
  stream: true,
});

let seen = "";
for await (const chunk of stream) {
  if (chunk.choices[0] && chunk.choices[0].delta.content != null) {
    seen += chunk.choices[0].delta.content;
  }
}
console.log(seen);
