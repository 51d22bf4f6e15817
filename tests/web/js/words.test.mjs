import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { age, bytes, seconds } from "../../../src/thalweg/web/lib/format.js";
import { browserLanguage, t, useWords } from "../../../src/thalweg/web/lib/words.js";

const FOLDER = new URL("../../../src/thalweg/web/words/", import.meta.url);
const read = (language) => JSON.parse(readFileSync(new URL(`${language}.json`, FOLDER), "utf8"));
const use = (language, tag) => useWords(read(language), tag);

test("words, values and plurals", () => {
  useWords({ hi: "Hi {name}, {other}", n_one: "{count} thing", n_other: "{count} things" }, "en");
  assert.equal(t("hi", { name: "Ann" }), "Hi Ann, {other}");
  assert.deepEqual(
    [0, 1, 2].map((count) => t("n", { count })),
    ["0 things", "1 thing", "2 things"],
  );
  assert.equal(t("unknown"), "unknown");
});

const WANTED = [
  [["zh-CN", "en"], "zh"],
  [["zh-Hant-TW"], "zh"],
  [["de", "en-GB"], "en"],
  [["de"], "en"],
  [[], "en"],
];

for (const [wanted, language] of WANTED)
  test(`a browser that wants ${wanted}`, () => assert.equal(browserLanguage(wanted), language));

test("times and sizes, in both languages", () => {
  use("en", "en");
  assert.deepEqual([40, 3240, 59_949, 125_000].map(seconds), ["0.04 s", "3.2 s", "59.9 s", "2 min 5 s"]);
  assert.deepEqual([12, 340_000, 2_100_000].map(bytes), ["12 B", "340 kB", "2.1 MB"]);
  use("zh", "zh-CN");
  assert.deepEqual([40, 125_000].map(seconds), ["0.04 秒", "2 分 5 秒"]);
});

test("days", () => {
  const now = new Date(2026, 10, 20, 15).getTime();
  const at = (...when) => age(new Date(...when).getTime(), now);
  assert.deepEqual(
    [at(2026, 10, 20, 0, 1), at(2026, 10, 19, 23, 59), at(2026, 10, 14, 1), at(2026, 10, 13, 1)],
    ["today", "yesterday", "week", "earlier"],
  );
});
