// One answer while it is made: from the request to its end, whichever that is. It changes its message and tells when;
// nothing of the page is known here.
//
// A message's `state`: `connecting`, `waiting` (the gateway is there, no token yet), `streaming`, `stopping`; then one
// of `done`, `stopped`, `cut` (it broke off: what came stays), `failed` (nothing came).

import { Failure, readAnswer } from "../api/gateway.js";
import { isWhole, newAnswer } from "../api/answer.js";

const LOOK_AFTER_MS = 150;
/** So soon the page asks whether the gateway is there at all: an answer's head waits for its first token. */

/** The states in which an answer is still made. */
export const UNDER_WAY = new Set(["connecting", "waiting", "streaming", "stopping"]);

/** Makes one answer. Used once. */
export class Run {
  #gateway;
  #body;
  #changed;
  #content;
  #answer = newAnswer();
  #abort = new AbortController();
  #begun = 0;
  #firstAt = 0;
  #lastAt = 0;
  #thoughtSince = 0;
  /** The wait for the upstream's end, once somebody has asked for it. */
  #stopped = null;

  /**
   * @param {object} parts
   * @param {import("../api/gateway.js").Gateway} parts.gateway
   * @param {object} parts.message the assistant's message, empty
   * @param {object} parts.body the request's
   * @param {() => void} parts.changed the message's state or facts are others now
   * @param {() => void} parts.content the message has more text, reasoning or arguments
   */
  constructor({ gateway, message, body, changed, content }) {
    this.message = message;
    this.#gateway = gateway;
    this.#body = body;
    this.#changed = changed;
    this.#content = content;
  }

  /** Since when it runs, on the page's clock. */
  get begun() {
    return this.#begun;
  }

  /** Run to the end. Does not throw: what went wrong stands in the message. */
  async toEnd() {
    this.#begun = performance.now();
    this.#become("connecting");
    const look = setTimeout(() => this.#look(), LOOK_AFTER_MS);
    try {
      const response = await this.#gateway.begin(this.#body, this.#abort.signal);
      this.#readHead(response);
      if (this.message.state === "connecting") this.#become("waiting");
      await readAnswer(response, this.#answer, (content) => this.#take(content));
      this.#finish();
    } catch (error) {
      this.#fail(error);
    } finally {
      clearTimeout(look);
      await this.#stopped;
      this.#measure();
      this.#changed();
    }
  }

  /** Stop it at its source, and say what that came to; where it has no name yet, hang up. */
  async stop() {
    if (!UNDER_WAY.has(this.message.state) || this.message.state === "stopping") return;
    this.#become("stopping");
    this.#stopped = this.#stopUpstream();
    await this.#stopped;
  }

  async #stopUpstream() {
    try {
      if (this.message.streamId) this.message.stop = await this.#gateway.stop(this.message.streamId);
    } catch {
      // It has ended in the meantime, or nobody answers: hanging up is all that is left.
    }
    this.#abort.abort();
  }

  async #look() {
    if ((await this.#gateway.isThere()) && this.message.state === "connecting") this.#become("waiting");
  }

  #become(state) {
    this.message.state = state;
    this.#changed();
  }

  #readHead(response) {
    const { headers } = response;
    Object.assign(this.message, {
      streamId: headers.get("x-thalweg-stream"),
      requestId: headers.get("x-request-id"),
      simulated: headers.get("x-thalweg-simulated") === "1",
      dropped: headers.get("x-thalweg-dropped"),
    });
  }

  #take(content) {
    const { message } = this;
    if (message.state === "stopping") return;
    const now = performance.now();
    if (content) {
      if (!this.#firstAt) this.#firstAt = now;
      this.#lastAt = now;
      this.#timeThoughts(now);
      message.text = this.#answer.text;
      message.reasoning = this.#answer.reasoning;
      message.calls = this.#answer.calls;
    }
    if (content && message.state !== "streaming") this.#become("streaming");
    if (content) this.#content();
  }

  /** Thinking lasts from its first word to the first one that is not thought. */
  #timeThoughts(now) {
    const { message } = this;
    if (this.#answer.reasoning && !this.#thoughtSince) {
      this.#thoughtSince = now;
      message.thinkingSince = Date.now();
    }
    if (!this.#thoughtSince || message.thoughtMs !== undefined) return;
    if (this.#answer.text || this.#answer.calls.length > 0) {
      message.thoughtMs = now - this.#thoughtSince;
      this.#changed();
    }
  }

  #finish() {
    const { message } = this;
    if (message.state === "stopping") {
      message.state = "stopped";
    } else if (isWhole(this.#answer)) {
      message.state = "done";
    } else {
      const fault = this.#answer.fault;
      message.state = hasContent(message) ? "cut" : "failed";
      message.fault = { kind: fault ? "said" : "broke", message: fault?.message ?? "", code: fault?.code ?? null };
    }
  }

  #fail(error) {
    const { message } = this;
    if (message.state === "stopping" || error.name === "AbortError") {
      message.state = "stopped";
    } else if (error instanceof Failure) {
      message.state = hasContent(message) ? "cut" : "failed";
      message.requestId ??= error.requestId;
      message.fault = {
        kind: error.kind,
        message: error.kind === "refused" ? error.message : "",
        code: error.code,
        status: error.status || null,
        retryAfter: error.retryAfter,
      };
    } else {
      // A bug of the page's: it must not leave an answer under way for ever.
      message.state = hasContent(message) ? "cut" : "failed";
      message.fault = { kind: "page", message: String(error), code: null };
      console.error(error);
    }
  }

  #measure() {
    const { message } = this;
    const answer = this.#answer;
    message.finish = answer.finish;
    message.usage = answer.usage;
    message.ttftMs = this.#firstAt ? this.#firstAt - this.#begun : null;
    message.streamMs = this.#firstAt ? this.#lastAt - this.#firstAt : null;
    message.totalMs = performance.now() - this.#begun;
    if (this.#thoughtSince && message.thoughtMs === undefined)
      message.thoughtMs = performance.now() - this.#thoughtSince;
    delete message.thinkingSince;
  }
}

function hasContent(message) {
  return Boolean(message.text || message.reasoning || message.calls?.length);
}

/**
 * Tokens of an answer as far as they are known: `{output, source}`, source `reported`, `counted`, `estimated` or
 * `unknown`.
 */
export function tokensOf(message) {
  if (message.usage?.output !== null && message.usage?.output !== undefined) {
    return { output: message.usage.output, source: "reported" };
  }
  if (typeof message.stop?.tokens === "number") return { output: message.stop.tokens, source: message.stop.source };
  return { output: null, source: "unknown" };
}

/** Tokens a second between the first and the last that were seen, or `null` where that says nothing. */
export function rateOf(message) {
  const hidden = message.reasoning ? 0 : (message.usage?.reasoning ?? 0);
  const seen = (tokensOf(message).output ?? 0) - hidden;
  if (seen < 8 || !message.streamMs || message.streamMs < 50) return null;
  return (seen - 1) / (message.streamMs / 1000);
}
