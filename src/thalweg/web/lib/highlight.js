// Colours for blocks of code that are whole. The work is done in a worker; what it finds is painted as ranges over the
// text (CSS custom highlights), so that the text itself is not touched and a selection in it stays.
// A browser without them shows code without colours.

import { trustedScript } from "./trusted.js";

const MOST_CHARS = 100_000;
const RANGES_A_SLICE = 300;
/** The names of the groups, in the order of the worker's numbers; `::highlight(code-NAME)` in code.css. */
export const GROUPS = ["keyword", "string", "number", "comment", "name", "type", "meta", "added", "removed"];

const whenIdle = globalThis.requestIdleCallback ?? ((work) => setTimeout(work, 16));

/** Paints the page's code. One for the page. */
export class Highlighter {
  #highlights = null;
  #worker = null;
  #asked = new Map();
  #last = 0;
  /** Each painted block's ranges, to be taken away with it. */
  #ranges = new Map();

  constructor() {
    if (!globalThis.CSS?.highlights) return;
    this.#highlights = GROUPS.map((name) => {
      const highlight = new Highlight();
      CSS.highlights.set(`code-${name}`, highlight);
      return highlight;
    });
  }

  /** Colour a block, some time soon. */
  paint(code, language) {
    const text = code.textContent;
    if (!this.#highlights || !language || text.length > MOST_CHARS) return;
    this.#last += 1;
    this.#asked.set(this.#last, code);
    this.#start().postMessage({ id: this.#last, language, text });
  }

  /** The blocks below `root` go away: so do their ranges. */
  forget(root) {
    for (const [code, ranges] of this.#ranges) {
      if (!root.contains(code)) continue;
      ranges.forEach(([group, range]) => this.#highlights[group].delete(range));
      this.#ranges.delete(code);
    }
  }

  #start() {
    if (!this.#worker) {
      this.#worker = new Worker(trustedScript(new URL("./highlight-worker.js", import.meta.url)), { type: "module" });
      this.#worker.addEventListener("message", ({ data }) => this.#found(data));
    }
    return this.#worker;
  }

  #found({ id, spans }) {
    const code = this.#asked.get(id);
    this.#asked.delete(id);
    if (!code?.isConnected || spans.length === 0) return;
    const ranges = [];
    this.#ranges.set(code, ranges);
    const places = [...textsOf(code)];
    const slice = (from) => {
      if (!this.#ranges.has(code)) return;
      const to = Math.min(from + RANGES_A_SLICE * 3, spans.length);
      for (let at = from; at < to; at += 3) {
        const range = rangeOver(places, spans[at], spans[at + 1]);
        if (!range) continue;
        this.#highlights[spans[at + 2]].add(range);
        ranges.push([spans[at + 2], range]);
      }
      if (to < spans.length) whenIdle(() => slice(to));
    };
    whenIdle(() => slice(0));
  }
}

function* textsOf(code) {
  const walker = document.createTreeWalker(code, NodeFilter.SHOW_TEXT);
  let begin = 0;
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    yield { node, begin, end: begin + node.length };
    begin += node.length;
  }
}

function rangeOver(places, start, end) {
  const first = places.find((place) => start < place.end);
  const last = places.find((place) => end <= place.end);
  if (!first || !last) return null;
  return new StaticRange({
    startContainer: first.node,
    startOffset: start - first.begin,
    endContainer: last.node,
    endOffset: end - last.begin,
  });
}
