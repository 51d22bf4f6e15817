import assert from "node:assert/strict";
import test from "node:test";
import {
  firstModel,
  groupModels,
  readProviders,
  searchModels,
  withoutKey,
} from "../../../src/thalweg/web/chat/models.js";

const ANSWER = {
  providers: [
    {
      name: "openai",
      title: "OpenAI",
      ready: true,
      needs_key: true,
      key_variables: ["OPENAI_API_KEY"],
      models: ["openai/gpt-x"],
    },
    {
      name: "ark",
      title: "Volcengine Ark",
      ready: false,
      needs_key: true,
      key_variables: ["ARK_API_KEY"],
      models: ["ark/doubao-1"],
    },
    { name: "ollama", title: "Ollama", ready: false, needs_key: false, key_variables: [], models: [] },
    { odd: true },
  ],
};
const MODELS = [
  { id: "sim/text", owned_by: "thalweg" },
  { id: "openai/gpt-x", owned_by: "openai" },
  { id: "openai/gpt-y", owned_by: "openai" },
];
const PROVIDERS = readProviders(ANSWER);
const GROUPS = groupModels(MODELS, PROVIDERS);

test("providers are read, and what is none is left out", () => {
  assert.deepEqual(
    PROVIDERS.map(({ name, ready, variables, local }) => [name, ready, variables, local]),
    [
      ["openai", true, ["OPENAI_API_KEY"], false],
      ["ark", false, ["ARK_API_KEY"], false],
      ["ollama", false, [], true],
    ],
  );
  for (const other of [null, {}, [], { providers: 7 }]) assert.deepEqual(readProviders(other), []);
});

test("models stand by their provider, the simulator last", () => {
  assert.deepEqual(
    GROUPS.map(({ title, models }) => [title, models]),
    [
      ["OpenAI", ["openai/gpt-x", "openai/gpt-y"]],
      ["", ["sim/text"]],
    ],
  );
});

const SEARCHES = [
  ["", ["openai/gpt-x", "openai/gpt-y", "sim/text"]],
  ["GPT", ["openai/gpt-x", "openai/gpt-y"]],
  ["open y", ["openai/gpt-y"]],
  ["nothing", []],
];

for (const [text, expected] of SEARCHES) {
  test(`searching ${JSON.stringify(text)}`, () =>
    assert.deepEqual(
      searchModels(GROUPS, text).flatMap(({ models }) => models),
      expected,
    ));
}

const CLOSED = [
  ["", ["ark"]],
  ["doubao", ["ark"]],
  ["gpt", []],
];

for (const [text, expected] of CLOSED) {
  test(`providers without a key for ${JSON.stringify(text)}`, () =>
    assert.deepEqual(
      withoutKey(PROVIDERS, text).map(({ name }) => name),
      expected,
    ));
}

test("the first model is the last one used, else a real one, else the simulator's", () => {
  assert.equal(firstModel(GROUPS, "ark/x"), "ark/x");
  assert.equal(firstModel(GROUPS, ""), "openai/gpt-x");
  assert.equal(firstModel([], ""), "sim/text");
});
