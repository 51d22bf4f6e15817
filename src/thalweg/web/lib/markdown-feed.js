// Markdown as it streams: what stands between an answer's text and the parser, so that no character is lost or misread.
//
// The parser (vendor/streaming-markdown) is optimistic and only ever adds. Four things it reads otherwise than people
// mean them; they are mended here, by looking at its state and never at what it has read before:
//   - an underscore inside a word is a letter: snake_case stays snake_case;
//   - brackets that turn out to be no link keep their brackets: array[0];
//   - a link's address may hold brackets in pairs, a title, and any number of bytes;
//   - an address in the text ends where full-width punctuation begins.
// No DOM here: what to do with tokens is the renderer's.

import * as smd from "../vendor/streaming-markdown/smd.min.js";

/**
 * @typedef {object} Renderer
 * @property {(type: number) => void} open a token begins inside the one that is open
 * @property {() => void} close the innermost one ends
 * @property {(text: string) => void} text
 * @property {(name: number, value: string) => void} attribute of the innermost one
 * @property {(closed: boolean) => void} unlink the innermost one is brackets and no link; `closed`: there was a `]`
 * @property {(text: string) => void} plain text that is not parsed any more
 */

const SPECIAL = /_+|\(|[\u3000-\u303f\uff01-\uff0f\uff1a-\uff1f\uff3b-\uff3d\uff5b-\uff5d“”‘’"<>]/gu;
const WORD = /[\p{L}\p{N}]/u;
const VERBATIM = new Set([
  smd.CODE_BLOCK,
  smd.CODE_FENCE,
  smd.CODE_INLINE,
  smd.RAW_URL,
  smd.EQUATION_BLOCK,
  smd.EQUATION_INLINE,
]);
const LINKS = new Set([smd.LINK, smd.IMAGE]);
const MOST_PENDING = 10_000;
/** A token that the parser cannot decide in so many characters is none; it would read them again for each new one. */

/** Feeds one text to the parser. */
export class MarkdownFeed {
  #renderer;
  #parser;
  /** Types of the open tokens, the innermost last. */
  #open = [];
  /** A run of underscores at the end of what came: the next character decides. */
  #held = "";
  #last = "";
  /** The pieces of a link's address while it is read, or `null`. */
  #address = null;
  #depth = 0;
  #url = "";
  #plain = false;

  /** @param {Renderer} renderer */
  constructor(renderer) {
    this.#renderer = renderer;
    this.#parser = smd.parser({
      data: this,
      add_token: (_, type) => this.#begin(type),
      end_token: () => this.#end(),
      add_text: (_, text) => renderer.text(text),
      set_attr: (_, name, value) => this.#attribute(name, value),
    });
  }

  /** Take the next piece, cut anywhere. */
  write(text) {
    const all = this.#held + text;
    this.#held = "";
    if (this.#plain) return this.#renderer.plain(all);
    try {
      this.#scan(all);
    } catch {
      // A bug in the parser may cost the formatting of what follows, not the words.
      this.#plain = true;
    }
  }

  /** The text is over: what was undecided is text. */
  end() {
    if (!this.#plain) {
      if (this.#held) this.#feed(this.#held);
      if (this.#address) this.#giveUpAddress();
      smd.parser_end(this.#parser);
    }
    while (this.#open.length > 0) this.#end();
  }

  #scan(text) {
    let from = 0;
    while (from < text.length && !this.#plain) {
      from = this.#address ? this.#readAddress(text, from) : this.#readUntilSpecial(text, from);
    }
    if (this.#plain) this.#renderer.plain(text.slice(from));
  }

  /** Feeds what stands before the next special run, and that; says where to go on. */
  #readUntilSpecial(text, from) {
    SPECIAL.lastIndex = from;
    const found = SPECIAL.exec(text);
    if (!found) {
      this.#feed(text.slice(from));
      return text.length;
    }
    this.#feed(text.slice(from, found.index));
    const [run] = found;
    const after = found.index + run.length;
    if (run[0] === "_" && after === text.length) {
      this.#held = run;
    } else if (run[0] === "_") {
      this.#feed(this.#isInWord(text[after]) ? run.replaceAll("_", "\\_") : run);
    } else if (run === "(") {
      this.#openBracket();
    } else {
      this.#feed(this.#parser.token === smd.RAW_URL ? `\\${run}` : run);
    }
    return after;
  }

  #isInWord(next) {
    const { token, pending, indent_len: indent } = this.#parser;
    if (VERBATIM.has(token) || pending.startsWith("```") || indent >= 4) return false;
    return WORD.test(this.#last) && WORD.test(next);
  }

  #openBracket() {
    const begins = LINKS.has(this.#parser.token) && this.#parser.pending === "]";
    this.#feed("(");
    if (begins) {
      this.#address = [];
      this.#depth = 0;
    }
  }

  /** Reads a link's address up to its bracket, or gives it up at a line's end. */
  #readAddress(text, from) {
    for (let at = from; at < text.length; at += 1) {
      const char = text[at];
      if (char === "\n") {
        this.#address.push(text.slice(from, at));
        this.#giveUpAddress();
        return at;
      }
      if (char === "(") this.#depth += 1;
      if (char === ")" && this.#depth-- === 0) {
        this.#address.push(text.slice(from, at));
        this.#url = target(this.#address.join(""));
        this.#address = null;
        this.#feed(")");
        return at + 1;
      }
    }
    this.#address.push(text.slice(from));
    return text.length;
  }

  #giveUpAddress() {
    const said = `](${this.#address.join("")}`;
    this.#address = null;
    this.#parser.pending = "";
    this.#renderer.text(said);
  }

  #feed(text) {
    if (text === "") return;
    this.#last = text[text.length - 1];
    for (let from = 0; from < text.length; from += MOST_PENDING) {
      smd.parser_write(this.#parser, text.slice(from, from + MOST_PENDING));
      if (this.#parser.pending.length > MOST_PENDING) {
        this.#plain = true;
        this.#renderer.plain(this.#parser.pending + text.slice(from + MOST_PENDING));
        return;
      }
    }
  }

  #begin(type) {
    this.#open.push({ type, linked: false });
    this.#renderer.open(type);
  }

  #end() {
    const ended = this.#open.pop();
    if (LINKS.has(ended?.type) && !ended.linked) this.#renderer.unlink(this.#parser.pending === "]");
    this.#renderer.close();
  }

  #attribute(name, value) {
    const inner = this.#open[this.#open.length - 1];
    if (inner) inner.linked = true;
    if (LINKS.has(inner?.type)) this.#renderer.attribute(name, this.#url);
    else this.#renderer.attribute(name, inner?.type === smd.RAW_URL ? value.replace(/[.,;:!?)\]'"*_]+$/u, "") : value);
  }
}

/** The address out of `<address> "title"`. */
function target(inside) {
  const text = inside.trim();
  if (text.startsWith("<")) return text.slice(1).split(">")[0];
  return text.replace(/\s+(?:"[^"]*"|'[^']*'|\([^)]*\))$/u, "");
}
