import assert from "node:assert/strict";
import test from "node:test";
import { JsonShape } from "../../../src/thalweg/web/lib/json-shape.js";
import { cuts } from "./cuts.mjs";

const VALUES = [
  {},
  [],
  { a: 1, b: [], c: { d: [1, { e: "x, y: {z}" }], f: 'a "quote" and \\' }, g: null },
  [{ a: {} }, [[]], "深泓 🌊", -1.5e-7, true],
];

for (const value of VALUES) {
  const text = JSON.stringify(value);
  for (const [how, pieces] of cuts(text, 4)) {
    test(`${text}, ${how}`, () => {
      const shape = new JsonShape();
      assert.equal(pieces.map((piece) => shape.push(piece)).join(""), JSON.stringify(value, null, 2));
    });
  }
}

test("JSON that has lines already gets ours", () => {
  assert.equal(new JsonShape().push('{ "a" :\n\t[ 1 , 2 ] }'), JSON.stringify({ a: [1, 2] }, null, 2));
});

test("text that is no JSON passes as it is", () => {
  for (const [, pieces] of cuts(" not JSON, {at: all}", 4)) {
    const shape = new JsonShape();
    assert.equal(pieces.map((piece) => shape.push(piece)).join(""), " not JSON, {at: all}");
  }
});

test("more closing than opening brackets do no harm", () => {
  assert.equal(new JsonShape().push("{}}]").replace(/\s/g, ""), "{}}]");
});
