// What a screen reader hears of an answer. The visible text is not live: it would be read out word by word. Here whole
// sentences stand, or only the end, in a region that waits for its turn.

import { t } from "../lib/words.js";

const EVERY_MS = 1500;
const MOST_KEPT = 12;
const SENTENCE_END = /[.!?…](?=\s|$)|[。！？]|\n/gu;

/** Speaks through one live region. One for the page. */
export class Announcer {
  #region;
  #settings;
  #said = 0;
  #timer = null;

  constructor(region, settings) {
    this.#region = region;
    this.#settings = settings;
  }

  /** A sentence of the page's own. */
  say(text) {
    const line = document.createElement("p");
    line.textContent = text;
    this.#region.append(line);
    while (this.#region.childElementCount > MOST_KEPT) this.#region.firstElementChild.remove();
  }

  /** An answer begins. */
  begin() {
    this.#said = 0;
  }

  /** There is more of it. */
  grow(text) {
    if (this.#settings.get("announce") !== "sentences" || this.#timer) return;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#sentences(text());
    }, EVERY_MS);
  }

  /** It is over. */
  end(text, state) {
    clearTimeout(this.#timer);
    this.#timer = null;
    const rest = this.#settings.get("announce") === "sentences" ? text.slice(this.#said).trim() : "";
    if (rest) this.say(rest);
    this.say(t(ENDS[state] ?? "said_done"));
  }

  #sentences(text) {
    SENTENCE_END.lastIndex = this.#said;
    let end = this.#said;
    for (let found = SENTENCE_END.exec(text); found; found = SENTENCE_END.exec(text)) end = SENTENCE_END.lastIndex;
    const whole = text.slice(this.#said, end).trim();
    if (!whole) return;
    this.#said = end;
    this.say(whole);
  }
}

const ENDS = { done: "said_done", stopped: "said_stopped", cut: "said_cut", failed: "said_failed" };
