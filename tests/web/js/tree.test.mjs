import assert from "node:assert/strict";
import test from "node:test";
import { childrenOf, choose, pathOf, place, subtree, titleOf } from "../../../src/thalweg/web/chat/tree.js";

/**  a ─ b ─ d
 *    └ c        e (another beginning) */
const MESSAGES = [
  { id: "a", parent: null, at: 1 },
  { id: "b", parent: "a", at: 2 },
  { id: "c", parent: "a", at: 3 },
  { id: "d", parent: "b", at: 4 },
  { id: "e", parent: null, at: 5 },
];
const ids = (messages) => messages.map((message) => message.id).join("");
const byId = (id) => MESSAGES.find((message) => message.id === id);

const PATHS = [
  ["the newest branch where none was chosen", {}, "e"],
  ["a chosen beginning, then the newest", { root: "a" }, "ac"],
  ["a chosen fork", { root: "a", a: "b" }, "abd"],
  ["a choice that is gone", { root: "a", a: "z" }, "ac"],
];

for (const [name, chosen, expected] of PATHS) test(name, () => assert.equal(ids(pathOf(MESSAGES, chosen)), expected));

test("an empty conversation has no path", () => assert.deepEqual(pathOf([], {}), []));
test("the order in storage does not matter", () =>
  assert.equal(ids(pathOf([...MESSAGES].reverse(), { root: "a", a: "b" })), "abd"));
test("a circle ends", () =>
  assert.equal(
    ids(
      pathOf(
        [
          { id: "x", parent: null, at: 1 },
          { id: "y", parent: "x", at: 2 },
        ],
        {},
      ),
    ),
    "xy",
  ));

test("children, the oldest first", () => {
  assert.equal(ids(childrenOf(MESSAGES, "a")), "bc");
  assert.equal(ids(childrenOf(MESSAGES, null)), "ae");
});

test("to choose a message is to choose at its fork", () => {
  assert.deepEqual(choose({ root: "a" }, byId("c")), { root: "a", a: "c" });
  assert.deepEqual(choose({}, byId("e")), { root: "e" });
});

test("where a message stands among its siblings", () => {
  const { at, of, before, after } = place(MESSAGES, byId("b"));
  assert.deepEqual([at, of, before, after.id], [1, 2, null, "c"]);
  assert.equal(place(MESSAGES, byId("d")).of, 1);
});

test("what hangs on a message", () => {
  assert.equal(ids(subtree(MESSAGES, "a")), "abcd");
  assert.equal(ids(subtree(MESSAGES, "d")), "d");
});

const TITLES = [
  ["# A heading\n\nmore", "A heading"],
  ["\n\n  first line  \nsecond", "first line"],
  ["x".repeat(80), `${"x".repeat(59)}…`],
  ["🌊".repeat(61), `${"🌊".repeat(59)}…`],
  ["", ""],
];

for (const [text, title] of TITLES)
  test(`a title out of ${JSON.stringify(text.slice(0, 20))}`, () => assert.equal(titleOf(text), title));
