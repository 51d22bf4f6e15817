import assert from "node:assert/strict";
import test from "node:test";
import { SseParser } from "../../../src/thalweg/web/lib/sse.js";
import { cuts } from "./cuts.mjs";

const message = (data, more = {}) => ({ event: "message", data, id: null, ...more });

/** Names, wire, frames. */
const CASES = [
  ["one event", "data: a\n\n", [message("a")]],
  ["two events", "data: a\n\ndata: b\n\n", [message("a"), message("b")]],
  ["CRLF", "data: a\r\n\r\ndata: b\r\n\r\n", [message("a"), message("b")]],
  ["CR alone", "data: a\r\rdata: b\r\r", [message("a"), message("b")]],
  ["all three ends of line", "data: a\r\ndata: b\rdata: c\n\n", [message("a\nb\nc")]],
  ["an LF after a CR that ended a line", "data: a\r\n\ndata: b\n\n", [message("a"), message("b")]],
  ["several data lines", "data: a\ndata:\ndata: b\n\n", [message("a\n\nb")]],
  ["no space after the colon", "data:a\n\n", [message("a")]],
  ["two spaces after the colon", "data:  a\n\n", [message(" a")]],
  ["a field without a colon", "data\n\n", [message("")]],
  ["a comment", ": hello\n\ndata: a\n: between\ndata: b\n\n", [message("a\nb")]],
  ["an event's name", "event: ping\ndata: {}\n\ndata: a\n\n", [message("{}", { event: "ping" }), message("a")]],
  ["an event without data", "event: ping\n\ndata: a\n\n", [message("a")]],
  ["an id, which stays", "id: 7\ndata: a\n\ndata: b\n\n", [message("a", { id: "7" }), message("b", { id: "7" })]],
  ["an id with NUL", "id: a\0b\ndata: a\n\n", [message("a")]],
  ["unknown fields", "retry: 5\nfoo: bar\ndata: a\n\n", [message("a")]],
  ["more blank lines than needed", "\n\n\ndata: a\n\n\n\n", [message("a")]],
  ["characters of two, three and four bytes", "data: é 深泓 🌊\n\n", [message("é 深泓 🌊")]],
  ["a byte order mark", "\ufeffdata: a\n\n", [message("a")]],
  ["a byte order mark in the data", "data: a\ufeffb\n\n", [message("a\ufeffb")]],
  ["separators that end no line", "data: a\u2028b\u0085c\x0bd\n\n", [message("a\u2028b\u0085c\x0bd")]],
  ["the end of a stream", "data: [DONE]\n\n", [message("[DONE]")]],
  ["an event without its blank line", "data: a\n\ndata: b\n", [message("a")]],
  ["a line without its end", "data: a\n\ndata: b", [message("a")]],
  ["nothing", "", []],
];

function read(pieces) {
  const parser = new SseParser();
  return [...pieces.flatMap((piece) => parser.push(piece)), ...parser.end()];
}

for (const [name, wire, frames] of CASES) {
  const bytes = new TextEncoder().encode(wire);
  for (const [how, pieces] of cuts(bytes)) {
    test(`${name}, ${how}`, () => assert.deepEqual(read(pieces), frames));
  }
}

test("bytes that are no UTF-8 become the replacement character", () => {
  const bytes = new Uint8Array([...new TextEncoder().encode("data: a"), 0xff, 0x0a, 0x0a]);
  assert.deepEqual(read([bytes]), [message("a\ufffd")]);
});

test("a frame of several megabytes in small pieces takes no long time", () => {
  const size = 4_000_000;
  const bytes = new TextEncoder().encode(`data: ${"x".repeat(size)}\n\n`);
  const pieces = [];
  for (let at = 0; at < bytes.length; at += 1000) pieces.push(bytes.subarray(at, at + 1000));
  const begun = performance.now();
  assert.equal(read(pieces)[0].data.length, size);
  assert.ok(performance.now() - begun < 2000);
});
