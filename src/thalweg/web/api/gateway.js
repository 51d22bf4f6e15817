// The gateway over HTTP: the one place that sends the key, and where every way a request can fail becomes a `Failure`.

import { SseParser } from "../lib/sse.js";
import { faultOf, take } from "./answer.js";

/**
 * Why something could not be had. `kind`: `unreachable` (nobody answered), `unauthorised` (401: the key is missing or
 * wrong), `refused` (any other status).
 */
export class Failure extends Error {
  constructor(kind, { status = 0, code = null, message = "", requestId = null, retryAfter = null } = {}) {
    super(message || kind);
    this.kind = kind;
    this.status = status;
    this.code = code;
    this.requestId = requestId;
    /** Seconds, or `null`. */
    this.retryAfter = retryAfter;
  }
}

/** Calls the gateway that this page came from. */
export class Gateway {
  #keys;

  constructor(keys) {
    this.#keys = keys;
  }

  /** Whether requests carry a key. */
  get isKeyed() {
    return Boolean(this.#keys.key);
  }

  /** The models' names with their owners. */
  async models() {
    const { data } = await this.#json("GET", "/v1/models");
    return Array.isArray(data) ? data : [];
  }

  /** Who else could be asked, or `null` where the gateway does not tell. */
  async providers() {
    try {
      return await this.#json("GET", "/providers");
    } catch (failure) {
      if (failure.kind === "refused") return null;
      throw failure;
    }
  }

  /** Whether anybody answers. */
  async isThere() {
    try {
      return (await fetch("/livez", { cache: "no-store" })).ok;
    } catch {
      return false;
    }
  }

  /** Begin an answer. Returns it as soon as its head is there; `signal` gives it up. */
  async begin(body, signal) {
    return this.#ask("POST", "/v1/chat/completions", { body: JSON.stringify(body), signal });
  }

  /** Stop a stream at its source: `{upstream_closed_ms, tokens, source}`. */
  async stop(streamId) {
    return this.#json("DELETE", `/streams/${encodeURIComponent(streamId)}`);
  }

  async #json(method, path) {
    return (await this.#ask(method, path)).json();
  }

  async #ask(method, path, more = {}) {
    const headers = {};
    if (more.body) headers["content-type"] = "application/json";
    if (this.#keys.key) headers.authorization = `Bearer ${this.#keys.key}`;
    let answer;
    try {
      answer = await fetch(path, { method, headers, cache: "no-store", credentials: "omit", ...more });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Failure("unreachable");
    }
    if (!answer.ok) throw await failureOf(answer);
    return answer;
  }
}

async function failureOf(answer) {
  let fault = { message: "", code: null };
  try {
    fault = faultOf((await answer.json()).error);
  } catch {
    // A proxy's own page, or nothing: the status has to do.
  }
  const retryAfter = Number.parseFloat(answer.headers.get("retry-after") ?? "");
  return new Failure(answer.status === 401 ? "unauthorised" : "refused", {
    status: answer.status,
    code: fault.code,
    message: fault.message,
    requestId: answer.headers.get("x-request-id"),
    retryAfter: Number.isFinite(retryAfter) ? retryAfter : null,
  });
}

/**
 * Read a streamed answer to its end. `changed` is called after each piece of the network that brought something.
 * A connection that breaks off ends it as the end of the bytes does: whether the answer is whole, it says itself.
 */
export async function readAnswer(response, answer, changed) {
  const reader = response.body.getReader();
  const parser = new SseParser();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      const frames = done ? parser.end() : parser.push(value);
      let content = false;
      for (const frame of frames) content = take(answer, frame.data) || content;
      if (frames.length) changed(content);
      if (done) return;
    }
  } catch (error) {
    if (error.name === "AbortError") throw error;
  } finally {
    reader.cancel().catch(() => {});
  }
}
