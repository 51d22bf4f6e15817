import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import test from "node:test";
import { curlOf, EXAMPLE_TOOLS, readTools, requestBody, toolsOf } from "../../../src/thalweg/web/api/request.js";

const user = (text, more = {}) => ({ role: "user", text, ...more });
const said = (text, more = {}) => ({ role: "assistant", text, calls: [], state: "done", ...more });
const ask = (path, parameters = {}) => requestBody(path, { model: "sim/text", parameters });

test("a first question", () => {
  assert.deepEqual(ask([user("hi")]), {
    model: "sim/text",
    messages: [{ role: "user", content: "hi" }],
    stream: true,
    stream_options: { include_usage: true },
  });
});

test("what is left at the default is not sent", () => {
  const body = ask([user("hi")], { system: "  ", effort: "", temperature: undefined, maxTokens: undefined, tools: "" });
  assert.deepEqual(Object.keys(body), ["model", "messages", "stream", "stream_options"]);
});

test("all parameters", () => {
  const body = ask([user("hi")], {
    system: "Be brief.",
    temperature: 0,
    maxTokens: 50,
    effort: "none",
    exampleTools: true,
  });
  assert.deepEqual(body.messages[0], { role: "system", content: "Be brief." });
  assert.equal(body.temperature, 0);
  assert.equal(body.max_completion_tokens, 50);
  assert.equal(body.reasoning_effort, "none");
  assert.deepEqual(body.tools, EXAMPLE_TOOLS);
});

test("pictures are parts, text stands before them", () => {
  const image = { url: "data:image/png;base64,AA==", name: "a.png" };
  assert.deepEqual(ask([user("look", { images: [image] })]).messages[0].content, [
    { type: "text", text: "look" },
    { type: "image_url", image_url: { url: image.url } },
  ]);
  assert.deepEqual(ask([user("", { images: [image] })]).messages[0].content, [
    { type: "image_url", image_url: { url: image.url } },
  ]);
});

test("a text file stands in a fence that it cannot leave", () => {
  const { content } = ask([user("read", { files: [{ name: "a.md", text: "````\nx\n````" }] })]).messages[0];
  assert.equal(content, "a.md\n`````\n````\nx\n````\n`````\n\nread");
});

test("answers that failed with nothing are left out, those that broke off stay", () => {
  const path = [user("a"), said("", { state: "failed" }), user("b"), said("half", { state: "cut" }), user("c")];
  assert.deepEqual(
    ask(path).messages.map((message) => message.content),
    ["a", "b", "half", "c"],
  );
});

test("calls with their results; one without is left out", () => {
  const calls = [
    { id: "c1", name: "f", arguments: "{}" },
    { id: "c2", name: "g", arguments: "{}" },
  ];
  const path = [user("a"), said("", { calls }), { role: "tool", callId: "c1", text: "7" }];
  assert.deepEqual(ask(path).messages.slice(1), [
    {
      role: "assistant",
      content: null,
      tool_calls: [{ id: "c1", type: "function", function: { name: "f", arguments: "{}" } }],
    },
    { role: "tool", tool_call_id: "c1", content: "7" },
  ]);
  assert.deepEqual(
    ask([user("a"), said("", { calls }), user("never mind")]).messages.map(({ role }) => role),
    ["user", "user"],
  );
});

/** What was typed, and what it is taken for. */
const TOOLS = [
  [
    "the inside alone",
    '[{"name": "f", "parameters": {}}]',
    { tools: [{ type: "function", function: { name: "f", parameters: {} } }] },
  ],
  [
    "as OpenAI writes it",
    '[{"type": "function", "function": {"name": "f"}}]',
    { tools: [{ type: "function", function: { name: "f" } }] },
  ],
  ["one without its list", '{"name": "f"}', { tools: [{ type: "function", function: { name: "f" } }] }],
  ["no JSON", "[{", { problem: "tools_no_json" }],
  ["no name", '[{"description": "x"}]', { problem: "tools_no_name" }],
  ["no tool at all", "[null]", { problem: "tools_no_name" }],
];

for (const [name, text, expected] of TOOLS) test(`tools: ${name}`, () => assert.deepEqual(readTools(text), expected));

test("tools with a problem are not sent", () => assert.deepEqual(toolsOf({ tools: "[{" }), []));

test("curl sends the very body, and never a key", () => {
  const body = ask([user('it\'s a "test" $HOME `x` \\n')]);
  const command = curlOf("http://127.0.0.1:8080", body, { keyed: true });
  assert.match(command, /-H "authorization: Bearer \$THALWEG_API_KEY"/);
  const script = `curl() { for last; do :; done; printf %s "$last"; }\n${command}`;
  assert.deepEqual(JSON.parse(execFileSync("sh", ["-c", script], { encoding: "utf8" })), body);
  assert.doesNotMatch(curlOf("http://x", body, { keyed: false }), /authorization/);
});
