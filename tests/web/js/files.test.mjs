import assert from "node:assert/strict";
import test from "node:test";
import { fromFile, toJson, toMarkdown } from "../../../src/thalweg/web/chat/files.js";
import { pathOf } from "../../../src/thalweg/web/chat/tree.js";

const WORDS = { you: "You", result: "Result", untitled: "Untitled" };
const ENTRY = {
  conversation: {
    id: "c",
    title: "Rivers",
    created: 1,
    updated: 2,
    model: "sim/text",
    parameters: { system: "Be brief.", temperature: 0.5 },
    chosen: { root: "m1", m1: "m2" },
  },
  messages: [
    {
      id: "m1",
      conversation: "c",
      parent: null,
      role: "user",
      at: 1,
      text: "Why?",
      images: [{ id: "i", name: "a.png", size: 3, url: "data:image/png;base64,AA" }],
      files: [],
    },
    {
      id: "m2",
      conversation: "c",
      parent: "m1",
      role: "assistant",
      at: 2,
      text: "Because.\n<!-- thalweg: {} -->",
      reasoning: "hm",
      calls: [],
      model: "sim/text",
      state: "done",
      usage: { input: 1, output: 2, cached: null, reasoning: null },
    },
    {
      id: "m3",
      conversation: "c",
      parent: "m1",
      role: "assistant",
      at: 3,
      text: "Other",
      calls: [],
      model: "sim/text",
      state: "streaming",
    },
  ],
};

const shape = ({ conversation, messages }) =>
  pathOf(messages, conversation.chosen).map(({ role, text, model }) => [role, text, model]);

test("JSON there and back keeps texts, branches and figures, under other ids", () => {
  const [back] = fromFile("a.json", toJson([ENTRY]));
  assert.deepEqual(shape(back), shape(ENTRY));
  assert.equal(back.messages.length, 3);
  assert.deepEqual(back.messages[1].usage, ENTRY.messages[1].usage);
  assert.deepEqual(back.conversation.parameters, ENTRY.conversation.parameters);
  assert.equal(back.messages[0].images[0].url, ENTRY.messages[0].images[0].url);
  const old = new Set(["c", "m1", "m2", "m3"]);
  assert.ok(![back.conversation.id, ...back.messages.map(({ id }) => id)].some((id) => old.has(id)));
  assert.ok(back.messages.every((message) => message.conversation === back.conversation.id));
});

test("an answer that was under way comes back as one that broke off", () => {
  assert.equal(fromFile("a.json", toJson([ENTRY]))[0].messages[2].state, "cut");
});

test("Markdown there and back keeps the branch that is shown", () => {
  const text = toMarkdown(ENTRY, WORDS);
  assert.match(text, /^# Rivers\n/);
  assert.match(text, /## You\n\nWhy\?/);
  const [back] = fromFile("a.md", text);
  assert.equal(back.conversation.title, "Rivers");
  assert.deepEqual(
    shape(back),
    shape(ENTRY).map(([role, said, model]) => [role, said, model]),
  );
});

for (const [name, content] of [
  ["not JSON", "{"],
  ["another's JSON", "{}"],
  ["another's list", "[]"],
  ["a number", "7"],
]) {
  test(`refused: ${name}`, () => assert.throws(() => fromFile("a.json", content), TypeError));
}
test("refused: another's Markdown", () => assert.throws(() => fromFile("a.md", "# hello\n\ntext"), TypeError));

test("fields of wrong types become harmless ones", () => {
  const odd = {
    format: "thalweg-conversations",
    version: 1,
    conversations: [
      {
        conversation: { title: 7, parameters: { system: {}, tools: 3 }, chosen: { x: "y" } },
        messages: [
          {
            id: "1",
            parent: null,
            role: "user",
            text: { html: 1 },
            images: [{ url: "https://evil.example/x.png" }, { url: "data:image/png;base64,AA" }],
          },
          { id: "2", parent: "nowhere", role: "user", text: "lost" },
          { id: "3", parent: "1", role: "wizard", text: "none" },
        ],
      },
      { conversation: null },
      null,
    ],
  };
  const [only, ...more] = fromFile("a.json", JSON.stringify(odd));
  assert.deepEqual(more, []);
  assert.equal(only.conversation.title, "");
  assert.deepEqual(only.conversation.parameters, {});
  assert.deepEqual(
    only.messages.map(({ text, images }) => [text, images.length]),
    [["", 1]],
  );
});
