// A chat's back end: serves its page, takes the talk from it, and hands the answer on as events of its own while it is
// made.
//
//     node chat_server.mjs          then open http://127.0.0.1:3000; PORT is another port

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";

import OpenAI from "openai";

const client = new OpenAI({
  baseURL: process.env.BASE_URL ?? "http://127.0.0.1:8080/v1",
  apiKey: process.env.API_KEY ?? "any",
});
const MODEL = process.env.MODEL ?? "sim/text";

async function bodyOf(request) {
  const pieces = [];
  for await (const piece of request) pieces.push(piece);
  return JSON.parse(Buffer.concat(pieces).toString("utf8"));
}

async function chat(request, response) {
  const { messages } = await bodyOf(request);
  response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-cache" });
  const tell = (event) => response.write(`data: ${JSON.stringify(event)}\n\n`);

  // When the page goes, the answer is not wanted any more.
  const page = new AbortController();
  response.on("close", () => page.abort());
  try {
    const stream = await client.chat.completions.create({ model: MODEL, messages, stream: true }, { signal: page.signal });
    for await (const chunk of stream) {
      const content = chunk.choices[0]?.delta?.content;
      if (content) tell({ content });
    }
    response.write("data: [DONE]\n\n");
  } catch (error) {
    tell({ error: error.message });
  }
  response.end();
}

async function page(response) {
  const text = await readFile(new URL("chat_page.html", import.meta.url));
  response.writeHead(200, { "content-type": "text/html; charset=utf-8" }).end(text);
}

const server = createServer((request, response) => {
  if (request.method === "GET" && request.url === "/") {
    page(response).catch(() => response.destroy());
  } else if (request.method === "POST" && request.url === "/chat") {
    chat(request, response).catch(() => response.destroy());
  } else {
    response.writeHead(404).end();
  }
});
server.listen(Number(process.env.PORT ?? 3000), "127.0.0.1", () => {
  console.log(`The chat listens on http://127.0.0.1:${server.address().port}/chat`);
});
process.on("SIGTERM", () => {
  server.close(() => process.exit(0));
  server.closeAllConnections();
});
