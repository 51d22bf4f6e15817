// Finds out what in a block of code is a keyword, a string and so on. Runs beside the page; a grammar is loaded when
// the first block of its language comes.

import hljs from "../vendor/highlight/core.min.js";

const words = (line) => line.split(" ");

const GRAMMARS = new Set([
  ...words("bash c cpp csharp css diff dockerfile go ini java javascript json markdown"),
  ...words("php python rust shell sql typescript xml yaml"),
]);

/** What else a grammar is called. */
const OTHER_NAMES = named({
  bash: "sh zsh",
  c: "h",
  cpp: "c++ cc hpp",
  csharp: "c# cs",
  diff: "patch",
  dockerfile: "docker",
  go: "golang",
  ini: "toml",
  javascript: "js jsx mjs",
  json: "json5 jsonc jsonl",
  markdown: "md",
  python: "py python3",
  rust: "rs",
  shell: "console shellsession",
  typescript: "ts tsx",
  xml: "html svg vue",
  yaml: "yml",
});

/** What a grammar embeds and needs loaded with it. */
const WITH = { markdown: ["xml"], php: ["xml"], shell: ["bash"], xml: ["css", "javascript"] };

/** The group of a scope's first word, by the number that GROUPS in highlight.js gives it; -1 has no colour. */
const GROUP_OF = named({
  "-1": "subst tag",
  0: "keyword operator built_in name selector-tag",
  1: "string regexp char link",
  2: "number literal symbol bullet",
  3: "comment doctag quote",
  4: "title section function attr attribute property",
  5: "type class variable selector-class selector-id",
  6: "meta",
  7: "addition",
  8: "deletion",
});

/** A table turned round: each of a row's words to the row's name. */
function named(rows) {
  return Object.fromEntries(Object.entries(rows).flatMap(([name, line]) => words(line).map((word) => [word, name])));
}

const loading = new Map();

function load(grammar) {
  if (!loading.has(grammar)) {
    loading.set(
      grammar,
      import(`../vendor/highlight/languages/${grammar}.min.js`).then((module) =>
        hljs.registerLanguage(grammar, module.default),
      ),
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
  const group = Number(GROUP_OF[(node.scope ?? "").split(".")[0]] ?? around);
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
