// Reads the bodies in a folder as the page does and prints one line of JSON for each: `node fold.mjs FOLDER PIECE_BYTES`.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { isWhole, newAnswer, take } from "../../../src/thalweg/web/api/answer.js";
import { SseParser } from "../../../src/thalweg/web/lib/sse.js";

const [folder, size] = [process.argv[2], Number(process.argv[3])];

for (const name of readdirSync(folder).sort()) {
  const bytes = readFileSync(join(folder, name));
  const parser = new SseParser();
  const answer = newAnswer();
  for (let at = 0; at < bytes.length; at += size) {
    for (const frame of parser.push(bytes.subarray(at, at + size))) take(answer, frame.data);
  }
  for (const frame of parser.end()) take(answer, frame.data);
  console.log(JSON.stringify({ name, whole: isWhole(answer), ...answer }));
}
