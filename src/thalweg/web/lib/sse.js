// Server-sent events out of bytes. What a line and an event are: WHATWG HTML, section 9.2.6, read 2026-11.
// Bytes go in as they come, cut anywhere, also inside a character; frames come out. No clock, no network.

/**
 * One event.
 * @typedef {{event: string, data: string, id: string | null}} Frame
 */

const LINE_END = /\r\n|\r|\n/g;

/** Takes the bytes of one answer. Lives as long as it. */
export class SseParser {
  #decoder = new TextDecoder("utf-8");
  /** What was read of a line that has no end yet, in the pieces in which it came. */
  #line = [];
  /** The last piece ended with CR: an LF that follows belongs to the same line end. */
  #afterCr = false;
  #data = [];
  #event = "";
  #id = null;

  /**
   * The frames that are whole now.
   * @param {Uint8Array} bytes
   * @returns {Frame[]}
   */
  push(bytes) {
    return this.#take(this.#decoder.decode(bytes, { stream: true }));
  }

  /**
   * The frames that the end of the bytes completes: none, because an event ends with its blank line and not before.
   * An unfinished one is dropped, as the standard says.
   * @returns {Frame[]}
   */
  end() {
    const last = this.#take(this.#decoder.decode());
    this.#line = [];
    this.#data = [];
    return last;
  }

  #take(text) {
    const frames = [];
    let from = 0;
    if (this.#afterCr && text !== "") {
      this.#afterCr = false;
      if (text[0] === "\n") from = 1;
    }
    LINE_END.lastIndex = from;
    for (let end = LINE_END.exec(text); end; end = LINE_END.exec(text)) {
      this.#line.push(text.slice(from, end.index));
      from = LINE_END.lastIndex;
      this.#afterCr = end[0] === "\r" && from === text.length;
      const frame = this.#endLine(this.#line.length === 1 ? this.#line[0] : this.#line.join(""));
      this.#line = [];
      if (frame) frames.push(frame);
    }
    if (from < text.length) this.#line.push(text.slice(from));
    return frames;
  }

  #endLine(line) {
    if (line === "") return this.#dispatch();
    const colon = line.indexOf(":");
    if (colon === 0) return null;
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
    if (name === "data") this.#data.push(value);
    else if (name === "event") this.#event = value;
    else if (name === "id" && !value.includes("\0")) this.#id = value;
    return null;
  }

  #dispatch() {
    const event = this.#event || "message";
    this.#event = "";
    if (this.#data.length === 0) return null;
    const data = this.#data.length === 1 ? this.#data[0] : this.#data.join("\n");
    this.#data = [];
    return { event, data, id: this.#id };
  }
}
