// Finds out what in a block of code is a keyword, a string and so on. Runs beside the page; a grammar is loaded when the
// first block of its language comes.

import hljs from "../vendor/highlight/core.min.js";

const GRAMMARS = new Set([
  "bash", "c", "cpp", "csharp", "css", "diff", "dockerfile", "go", "ini", "java", "javascript", "json", "markdown", "php",
  "python", "rust", "shell", "sql", "typescript", "xml", "yaml",
]);
const OTHER_NAMES = {
  "c#": "csharp", "c++": "cpp", cc: "cpp", console: "shell", cs: "csharp", docker: "dockerfile", golang: "go", h: "c",
  hpp: "cpp", html: "xml", js: "javascript", json5: "json", jsonc: "json", jsonl: "json", jsx: "javascript", md: "markdown",
  mjs: "javascript", patch: "diff", py: "python", python3: "python", rs: "rust", sh: "bash", shellsession: "shell",
  svg: "xml", toml: "ini", ts: "typescript", tsx: "typescript", vue: "xml", yml: "yaml", zsh: "bash",
};
/** What a grammar embeds and needs loaded with it. */
const WITH = { markdown: ["xml"], php: ["xml"], shell: ["bash"], xml: ["css", "javascript"] };

/** Groups by the first word of a scope; their numbers are those of GROUPS in highlight.js. */
const GROUP_OF = {
  keyword: 0, operator: 0, built_in: 0, literal: 2, string: 1, regexp: 1, quote: 3, char: 1, subst: -1, number: 2, symbol: 2,
  comment: 3, doctag: 3, title: 4, section: 4, function: 4, attr: 4, attribute: 4, property: 4, name: 0, tag: -1, type: 5,
  class: 5, "selector-tag": 0, "selector-class": 5, "selector-id": 5, meta: 6, variable: 5, bullet: 2, link: 1,
  addition: 7, deletion: 8,
};

const loading = new Map();

function load(grammar) {
  if (!loading.has(grammar)) {
    loading.set(
      grammar,
      import(`../vendor/highlight/languages/${grammar}.min.js`).then((module) => hljs.registerLanguage(grammar, module.default)),
    );
  }
  return loading.get(grammar);
}

/** The coloured stretches of a text: start, end, group, one after the other. */
async function spansOf(language, text) {
  const name = language.toLowerCase();
  const grammar = OTHER_NAMES[name] ?? name;
  if (!GRAMMARS.has(grammar)) return [];
  await Promise.all([grammar, ...(WITH[grammar] ?? [])].map(load));
  const spans = [];
  walk(hljs.highlight(text, { language: grammar, ignoreIllegals: true })._emitter.rootNode, 0, -1, spans);
  return spans;
}

/** Goes through the tree of scopes; returns where in the text it has come to. */
function walk(node, start, around, spans) {
  const group = GROUP_OF[(node.scope ?? "").split(".")[0]] ?? around;
  let at = start;
  for (const child of node.children) {
    if (typeof child !== "string") {
      at = walk(child, at, group, spans);
    } else {
      if (group >= 0) spans.push(at, at + child.length, group);
      at += child.length;
    }
  }
  return at;
}

self.addEventListener("message", async ({ data: { id, language, text } }) => {
  let spans = [];
  try {
    spans = await spansOf(language, text);
  } catch {
    // The code is shown without colours.
  }
  const packed = Int32Array.from(spans);
  self.postMessage({ id, spans: packed }, [packed.buffer]);
});
