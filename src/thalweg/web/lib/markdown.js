// Markdown into elements, as it streams. Elements and text are only added: nothing that was written is taken away or
// made anew, so that a selection stays and nothing flickers. Foreign text never becomes markup.

import * as smd from "../vendor/streaming-markdown/smd.min.js";
import { copyText } from "./clipboard.js";
import { button, el, icon } from "./dom.js";
import { isInlinePicture, safeAddress } from "./links.js";
import { MarkdownFeed } from "./markdown-feed.js";
import { t } from "./words.js";

const DEEPEST = 32;
const CHUNK_BLOCKS = 24;
/** So many blocks make a chunk, whose layout the browser can skip while it is out of sight. */

const HEADINGS = new Map([
  [smd.HEADING_1, "h3"],
  [smd.HEADING_2, "h4"],
  [smd.HEADING_3, "h5"],
  [smd.HEADING_4, "h6"],
  [smd.HEADING_5, "h6"],
  [smd.HEADING_6, "h6"],
]);

const PLAIN_TAGS = new Map([
  [smd.BLOCKQUOTE, "blockquote"],
  [smd.PARAGRAPH, "p"],
  [smd.LINE_BREAK, "br"],
  [smd.RULE, "hr"],
  [smd.ITALIC_AST, "em"],
  [smd.ITALIC_UND, "em"],
  [smd.STRONG_AST, "strong"],
  [smd.STRONG_UND, "strong"],
  [smd.STRIKE, "s"],
  [smd.CODE_INLINE, "code"],
  [smd.LINK, "a"],
  [smd.RAW_URL, "a"],
  [smd.LIST_UNORDERED, "ul"],
  [smd.LIST_ORDERED, "ol"],
  [smd.LIST_ITEM, "li"],
]);

/** A text that grows at its end, shown below `root`. */
export class MarkdownBody {
  #feed;
  #builder;
  #fed = 0;
  #over = false;

  /**
   * @param {HTMLElement} root empty, and nobody else's
   * @param {(code: HTMLElement, language: string) => void} codeEnded called once a block of code is whole
   */
  constructor(root, codeEnded = () => {}) {
    this.#builder = new Builder(root, codeEnded);
    this.#feed = new MarkdownFeed(this.#builder);
  }

  /** Show the text, of which the beginning has been shown already. */
  sync(text) {
    if (text.length <= this.#fed || this.#over) return;
    const fresh = text.slice(this.#fed);
    this.#fed = text.length;
    this.#feed.write(fresh);
  }

  /** The text will not grow any more. */
  end() {
    if (this.#over) return;
    this.#over = true;
    this.#feed.end();
  }
}

/** Makes the elements. Fits `Renderer` of markdown-feed.js. */
class Builder {
  #root;
  #codeEnded;
  /** The open elements, and what to do when each ends. */
  #stack = [];
  #chunk = null;
  #blocks = 0;
  #plain = null;
  /** The last heading's level in the page's outline. The conversation's title is the first. */
  #level = 1;

  constructor(root, codeEnded) {
    this.#root = root;
    this.#codeEnded = codeEnded;
  }

  open(type) {
    const parent = this.#parent(type);
    const level = HEADINGS.get(type);
    let frame;
    if (this.#stack.length > DEEPEST) frame = { node: parent };
    else if (level) frame = { node: parent.appendChild(this.#heading(level)) };
    else if (PLAIN_TAGS.has(type)) frame = { node: parent.appendChild(document.createElement(PLAIN_TAGS.get(type))) };
    else frame = (COMPOSED.get(type) ?? unknown)(parent, this.#codeEnded);
    this.#stack.push({ type, ...frame });
  }

  close() {
    this.#stack.pop()?.ended?.();
  }

  text(text) {
    const inner = this.#stack[this.#stack.length - 1];
    const node = inner?.node ?? this.#parent(smd.PARAGRAPH);
    if (inner?.write) inner.write(text);
    else append(inner?.words ?? node, text);
  }

  attribute(name, value) {
    const inner = this.#stack[this.#stack.length - 1];
    if (inner?.attribute) inner.attribute(value);
    else ATTRIBUTES.get(name)?.(inner.node, value);
  }

  unlink(closed) {
    const inner = this.#stack[this.#stack.length - 1];
    const node = inner.words ?? inner.node;
    node.prepend(inner.type === smd.IMAGE ? "![" : "[");
    if (closed) append(node, "]");
  }

  plain(text) {
    this.#plain ??= this.#parent(smd.PARAGRAPH).appendChild(el("p", { class: "as-it-is" }));
    append(this.#plain, text);
  }

  /** Looks as deep as it was written, and is told to be at most one deeper than the one before: none is left out. */
  #heading(tag) {
    this.#level = Math.min(Number(tag[1]) - 1, this.#level + 1);
    return el(tag, { "aria-level": String(this.#level) });
  }

  #parent(type) {
    const inner = this.#stack[this.#stack.length - 1];
    if (inner) return inner.node;
    const opens = HEADINGS.has(type);
    if (!this.#chunk || this.#blocks >= (opens ? CHUNK_BLOCKS * 0.6 : CHUNK_BLOCKS)) {
      if (this.#chunk) settling.observe(this.#chunk);
      this.#chunk = this.#root.appendChild(el("div", { class: opens ? "chunk opens" : "chunk" }));
      this.#blocks = 0;
    }
    this.#blocks += 1;
    return this.#chunk;
  }
}

/**
 * A chunk that will not grow any more: once it is out of sight the browser may skip it. Its size is taken along, so
 * that skipping it moves nothing. Not before: one that is in sight would be blank for a frame.
 */
const settling = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting, boundingClientRect } of entries) {
    if (isIntersecting || !boundingClientRect.height) continue;
    settling.unobserve(target);
    target.style.containIntrinsicBlockSize = `auto ${boundingClientRect.height}px`;
    target.dataset.settled = "";
  }
});

const MOST_NODE_CHARS = 4000;
/** A text node that grows costs the browser its whole length each time. */

function append(node, text) {
  const last = node.lastChild;
  if (last?.nodeType === Node.TEXT_NODE && last.length < MOST_NODE_CHARS) last.appendData(text);
  else node.append(text);
}

const PART_LINES = 50;

/** Lines of code, in parts of some lines each: a line more lays out its part anew, and not a thousand lines. */
class CodeLines {
  #code;
  #part = null;
  #lines = 0;

  constructor(code) {
    this.#code = code;
  }

  write(text) {
    for (let from = 0; from < text.length; ) {
      if (!this.#part || this.#lines >= PART_LINES) {
        this.#part = this.#code.appendChild(el("span", { class: "code-part" }));
        this.#lines = 0;
      }
      const to = this.#endOfPart(text, from);
      append(this.#part, text.slice(from, to));
      from = to;
    }
  }

  /** How far the text goes into the part that is open. */
  #endOfPart(text, from) {
    for (let at = text.indexOf("\n", from); at >= 0; at = text.indexOf("\n", at + 1)) {
      this.#lines += 1;
      if (this.#lines >= PART_LINES) return at + 1;
    }
    return text.length;
  }
}

function unknown(parent) {
  return { node: parent.appendChild(document.createElement("span")) };
}

function codeBlock(parent, codeEnded) {
  const pieces = [];
  let language = "";
  const label = el("span", { class: "code-language" });
  const code = el("code");
  const lines = new CodeLines(code);
  const copy = button({
    icon: "copy",
    label: t("copy_code"),
    class: "quiet small",
    click: () => copyText(pieces.join(""), copy),
  });
  const pre = el("pre", { tabindex: "0", role: "group", "aria-label": t("code") }, code);
  parent.append(el("div", { class: "code", dir: "ltr" }, el("div", { class: "code-bar" }, label, copy), pre));
  return {
    node: code,
    write: (text) => {
      pieces.push(text);
      lines.write(text);
    },
    attribute: (value) => {
      language = value
        .trim()
        .split(/[\s{,]/u)[0]
        .slice(0, 32);
      label.textContent = language;
      if (language) pre.setAttribute("aria-label", language);
    },
    ended: () => codeEnded(code, language),
  };
}

function table(parent) {
  const node = el("table");
  parent.append(el("div", { class: "table", tabindex: "0", role: "group", "aria-label": t("table") }, node));
  return { node };
}

function row(parent) {
  let section = parent.tBodies?.[0];
  if (!parent.tHead) section = parent.appendChild(el("thead"));
  else if (!section) section = parent.appendChild(el("tbody"));
  return { node: section.appendChild(el("tr")) };
}

function cell(parent) {
  const heads = parent.parentElement?.tagName === "THEAD";
  return { node: parent.appendChild(heads ? el("th", { scope: "col" }) : el("td")) };
}

function checkbox(parent) {
  const node = el("input", { type: "checkbox", disabled: true, "aria-label": t("task") });
  parent.append(node);
  parent.classList.add("task");
  return { node, attribute: () => (node.checked = true) };
}

/** A picture from elsewhere is a link to it: nothing is fetched unasked. One in the text itself is shown. */
function picture(parent) {
  const words = el("span");
  const node = el("a", { class: "picture" }, icon("image"), words);
  parent.append(node);
  return {
    node,
    words,
    attribute: (address) => {
      if (isInlinePicture(address)) {
        node.classList.add("shown");
        node.append(el("img", { src: address, alt: words.textContent }));
      } else setAddress(node, address);
    },
  };
}

function setAddress(node, address) {
  const safe = safeAddress(address);
  if (!safe) return;
  node.href = safe;
  node.target = "_blank";
  node.rel = "noopener noreferrer";
  node.title = safe.length > 200 ? `${safe.slice(0, 200)}…` : safe;
}

function formula(tag) {
  return (parent) => ({
    node: parent.appendChild(el(tag, { class: tag === "div" ? "formula block" : "formula", dir: "ltr" })),
  });
}

const COMPOSED = new Map([
  [smd.CODE_BLOCK, codeBlock],
  [smd.CODE_FENCE, codeBlock],
  [smd.TABLE, table],
  [smd.TABLE_ROW, row],
  [smd.TABLE_CELL, cell],
  [smd.CHECKBOX, checkbox],
  [smd.IMAGE, picture],
  [smd.EQUATION_BLOCK, formula("div")],
  [smd.EQUATION_INLINE, formula("span")],
]);

const ATTRIBUTES = new Map([
  [smd.HREF, setAddress],
  [smd.START, (node, value) => node.setAttribute("start", String(Number.parseInt(value, 10) || 1))],
]);
