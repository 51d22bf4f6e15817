// A call of a tool, as a card: its arguments while they stream in, then its result, or a place to give it.

import { stamp } from "../lib/dom.js";
import { JsonShape } from "../lib/json-shape.js";
import { t } from "../lib/words.js";

/** One card. It only grows. */
export class CallView {
  #parts = stamp("call-template");
  #shape = new JsonShape();
  #shown = 0;

  constructor() {
    this.root = this.#parts.root;
    this.#parts.arguments.append("");
  }

  /** Show the call as far as it is known. */
  sync(call) {
    if (!this.#parts.name.firstChild && call.name) this.#parts.name.append(call.name);
    if (call.arguments.length === this.#shown) return;
    this.#parts.arguments.firstChild.appendData(this.#shape.push(call.arguments.slice(this.#shown)));
    this.#shown = call.arguments.length;
  }

  /**
   * Show how it stands.
   * @param {{underWay: boolean, result: string | null, open: boolean}} how `open`: somebody may answer it now
   */
  settle({ underWay, result, open }) {
    const { state, result: box, said, answer } = this.#parts;
    state.textContent = t(stateOf(underWay, result, open));
    box.hidden = result === null;
    said.textContent = result ?? "";
    answer.hidden = !open || result !== null;
  }

  /** What was typed as its result. */
  get typed() {
    return this.#parts.input.value;
  }

  focus() {
    this.#parts.input.focus();
  }
}

function stateOf(underWay, result, open) {
  if (underWay) return "call_streaming";
  if (result !== null) return "call_answered";
  return open ? "call_waits" : "call_open";
}
