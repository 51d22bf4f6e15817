// JSON broken into lines while it streams in. Text that is no JSON passes as it is.

const OPEN = { "{": "}", "[": "]" };

/** Shapes one text. `push` returns what to append. */
export class JsonShape {
  #depth = 0;
  #inText = false;
  #escaped = false;
  /** An opening bracket whose inside has not begun: empty ones stay on their line. */
  #justOpened = false;
  /** Whether this is JSON at all: its first sign tells. */
  #isJson = null;
  /** The space before it. */
  #before = "";

  push(piece) {
    if (this.#isJson === false) return piece;
    if (this.#isJson === null) {
      this.#before += piece;
      if (!/\S/.test(this.#before)) return "";
      this.#isJson = /^\s*[{[]/.test(this.#before);
      return this.#isJson ? this.#shape(this.#before) : this.#before;
    }
    return this.#shape(piece);
  }

  #shape(piece) {
    let out = "";
    for (const char of piece) out += this.#inText ? this.#text(char) : this.#structure(char);
    return out;
  }

  #text(char) {
    if (this.#escaped) this.#escaped = false;
    else if (char === "\\") this.#escaped = true;
    else if (char === '"') this.#inText = false;
    return char;
  }

  #structure(char) {
    if (/\s/.test(char)) return "";
    const closes = char === "}" || char === "]";
    const line = this.#justOpened && !closes ? this.#line() : "";
    const empty = this.#justOpened && closes;
    this.#justOpened = false;
    if (char === '"') this.#inText = true;
    if (OPEN[char]) {
      this.#depth += 1;
      this.#justOpened = true;
    } else if (closes) {
      this.#depth = Math.max(0, this.#depth - 1);
      return (empty ? "" : this.#line()) + char;
    }
    return line + after(char, () => this.#line());
  }

  #line() {
    return `\n${"  ".repeat(Math.min(this.#depth, 24))}`;
  }
}

function after(char, line) {
  if (char === ",") return `,${line()}`;
  return char === ":" ? ": " : char;
}
