import assert from "node:assert/strict";
import test from "node:test";
import * as smd from "../../../src/thalweg/web/vendor/streaming-markdown/smd.min.js";
import { MarkdownFeed } from "../../../src/thalweg/web/lib/markdown-feed.js";
import { cuts, seeded } from "./cuts.mjs";

const NAMES = {
  [smd.PARAGRAPH]: "p",
  [smd.HEADING_1]: "h1",
  [smd.HEADING_2]: "h2",
  [smd.CODE_FENCE]: "pre",
  [smd.CODE_BLOCK]: "pre",
  [smd.CODE_INLINE]: "code",
  [smd.ITALIC_AST]: "em",
  [smd.ITALIC_UND]: "em",
  [smd.STRONG_AST]: "b",
  [smd.STRONG_UND]: "b",
  [smd.STRIKE]: "s",
  [smd.LINK]: "a",
  [smd.RAW_URL]: "a",
  [smd.IMAGE]: "img",
  [smd.BLOCKQUOTE]: "quote",
  [smd.LINE_BREAK]: "br",
  [smd.RULE]: "hr",
  [smd.LIST_UNORDERED]: "ul",
  [smd.LIST_ORDERED]: "ol",
  [smd.LIST_ITEM]: "li",
  [smd.CHECKBOX]: "box",
  [smd.TABLE]: "table",
  [smd.TABLE_ROW]: "tr",
  [smd.TABLE_CELL]: "td",
  [smd.EQUATION_BLOCK]: "math",
  [smd.EQUATION_INLINE]: "math",
};

/** What a renderer is told, as a line of text. Attributes come behind what they belong to, wherever they were set. */
function render(pieces) {
  const root = { name: "", inside: "", attributes: "" };
  const stack = [root];
  const inner = () => stack[stack.length - 1];
  const feed = new MarkdownFeed({
    open: (type) => stack.push({ name: NAMES[type] ?? String(type), inside: "", attributes: "" }),
    close: () => {
      const { name, inside, attributes } = stack.pop();
      inner().inside += `<${name}${attributes}>${inside}</${name}>`;
    },
    text: (text) => (inner().inside += text),
    attribute: (_, value) => (inner().attributes += ` ${value}`),
    unlink: (closed) => (inner().inside = `[${inner().inside}${closed ? "]" : ""}`),
    plain: (text) => (inner().inside += text),
  });
  pieces.forEach((piece) => feed.write(piece));
  feed.end();
  assert.equal(stack.length, 1, "every token was closed");
  return root.inside;
}

/** Markdown, and what it is. */
const CASES = [
  ["a **b** *c* ~~d~~ `e`", "<p>a <b>b</b> <em>c</em> <s>d</s> <code>e</code></p>"],
  ["# One\ntext", "<h1>One</h1><p>text</p>"],
  ["snake_case_name", "<p>snake_case_name</p>"],
  ["a__b and __init__ and _em_", "<p>a__b and <b>init</b> and <em>em</em></p>"],
  ["中文_下划线_中文", "<p>中文_下划线_中文</p>"],
  ["`a_b` and x_", "<p><code>a_b</code> and x_</p>"],
  ["```my_lang\na_b_c\n```\nd", "<pre my_lang>a_b_c</pre><p>d</p>"],
  ["    a_b\n", "<pre>a_b</pre>"],
  ["x[0] and [1] and [ ]", "<p>x<a>[0]</a> and <a>[1]</a> and <a>[ ]</a></p>"],
  ["[open", "<p><a>[open</a></p>"],
  ["[a](https://x.example/y)", "<p><a https://x.example/y>a</a></p>"],
  ["[a](https://x.example/y_(z)_w) b", "<p><a https://x.example/y_(z)_w>a</a> b</p>"],
  ['[a](https://x.example "A title") b', "<p><a https://x.example>a</a> b</p>"],
  ["[a](<https://x.example/y z>)", "<p><a https://x.example/y z>a</a></p>"],
  ["[a](half", "<p><a>[a](half</a></p>"],
  ["[a](half\nb", "<p><a>[a](half<br></br>b</a></p>"],
  ["![a](https://x.example/y.png)", "<p><img https://x.example/y.png>a</img></p>"],
  ["f(x) and (y)", "<p>f(x) and (y)</p>"],
  ["see https://x.example/a_b_c, ok", "<p>see <a https://x.example/a_b_c>https://x.example/a_b_c,</a> ok</p>"],
  ["见 https://x.example/a。好", "<p>见 <a https://x.example/a>https://x.example/a</a>。好</p>"],
  ["“https://x.example”", "<p>“https://x.example”</p>"],
  ["**注意：**文字", "<p><b>注意：</b>文字</p>"],
  [
    "| a_b | c |\n|---|---|\n| d | e |\n\nf",
    "<table><tr><td> a_b </td><td> c </td></tr><tr><td> d </td><td> e </td></tr></table><p>f</p>",
  ],
  ["- [ ] a\n- [x] b", "<ul><li><box></box> a</li><li><box ></box> b</li></ul>"],
  ["costs $5 and $10; $x^2$", "<p>costs $5 and $10; <math>x^2</math></p>"],
  ["5 < 6 & 7 > 2 <b>no</b>", "<p>5 < 6 & 7 > 2 <b>no</b></p>"],
  ["🌊_🌊_🌊", "<p>🌊<em>🌊</em>🌊</p>"],
];

for (const [markdown, expected] of CASES) {
  for (const [how, pieces] of cuts(markdown, 4)) {
    test(`${JSON.stringify(markdown)}, ${how}`, () => assert.equal(render(pieces), expected));
  }
}

const ALPHABET = [
  "a",
  "b",
  "_",
  "*",
  "**",
  "`",
  "```",
  "\n",
  "\n\n",
  "    ",
  "[",
  "]",
  "(",
  ")",
  "![",
  "https://x.y",
  "|",
  "-",
  "- ",
  "1. ",
  "# ",
  "> ",
  "~",
  "$",
  "\\",
  "<br>",
  "🌊",
  "，",
  " ",
];

test("whatever comes, the words stay, nothing is thrown, and the cuts do not matter", () => {
  const random = seeded(7);
  for (let round = 0; round < 400; round += 1) {
    const text = Array.from({ length: 40 }, () => ALPHABET[Math.floor(random() * ALPHABET.length)]).join("");
    const whole = render([text]);
    assert.equal(render([...text]), whole, JSON.stringify(text));
    for (const letter of ["a", "b", "🌊", "，"]) {
      const count = (inside) => inside.replace(/<\/?\w+( [^>]*)?>/g, "").split(letter).length - 1;
      if (!text.includes("](") && !text.includes("```") && !text.includes("<"))
        assert.ok(count(whole) >= text.split(letter).length - 1 - 1, JSON.stringify([text, whole]));
    }
  }
});

/** Texts that are long where a parser may look back for each new character. */
const LONG = [
  ["a picture of two megabytes", `![x](data:image/png;base64,${"A".repeat(2_000_000)})`],
  ["a hundred thousand dashes", "-".repeat(100_000)],
  ["a hundred thousand backticks", "`".repeat(100_000)],
  ["ten thousand open brackets", "[".repeat(10_000)],
  ["ten thousand quotes deep", `${">".repeat(10_000)} x`],
  ["ten thousand stars", "*".repeat(10_000)],
  ["an address of a megabyte", `https://x.example/${"a".repeat(1_000_000)}`],
  ["a line of a megabyte", "word ".repeat(200_000)],
];

for (const [name, text] of LONG) {
  test(`${name} takes no long time`, () => {
    const begun = performance.now();
    render(text.match(/[^]{1,4096}/g));
    assert.ok(performance.now() - begun < 3000, `${performance.now() - begun} ms`);
  });
}
