// One answer of `POST /v1/chat/completions`, folded out of its chunks. No network and no clock.

/**
 * @typedef {{id: string, name: string, arguments: string}} Call
 * @typedef {{message: string, code: string | null, type: string | null}} Fault
 * @typedef {object} Answer
 * @property {string} text
 * @property {string} reasoning
 * @property {Call[]} calls
 * @property {string | null} finish the reason, as it was sent
 * @property {Usage | null} usage
 * @property {Fault | null} fault what the stream said instead of going on
 * @property {boolean} whole whether the stream ended as a good one does
 * @typedef {{input: number | null, output: number | null, cached: number | null, reasoning: number | null}} Usage
 *   Tokens. `input` has the cached ones in it, `output` the reasoning; `null` is unknown.
 */

/** @returns {Answer} */
export function newAnswer() {
  return { text: "", reasoning: "", calls: [], finish: null, usage: null, fault: null, whole: false };
}

/**
 * Take the data of one event. Returns whether it brought content: text, reasoning, a call or a piece of one.
 * After a fault nothing is taken any more.
 * @param {Answer} answer
 * @param {string} data
 */
export function take(answer, data) {
  if (answer.fault) return false;
  if (data === "[DONE]") {
    answer.whole = true;
    return false;
  }
  const chunk = parse(data);
  if (!chunk) return false;
  if (chunk.error) {
    answer.fault = faultOf(chunk.error);
    return false;
  }
  if (chunk.usage) answer.usage = usageOf(chunk.usage);
  const choice = Array.isArray(chunk.choices) ? chunk.choices.find((each) => (each.index ?? 0) === 0) : undefined;
  if (!choice) return false;
  if (choice.finish_reason) answer.finish = choice.finish_reason;
  return takeDelta(answer, choice.delta ?? {});
}

/** The bytes are over. Says whether the answer is whole: `[DONE]`, or an end after the finish reason, and no fault. */
export function isWhole(answer) {
  return !answer.fault && (answer.whole || answer.finish !== null);
}

/** What an error object says, whatever its shape. */
export function faultOf(error) {
  if (typeof error === "string") return { message: error, code: null, type: null };
  const code = error.code ?? null;
  return { message: String(error.message ?? ""), code: code === null ? null : String(code), type: error.type ?? null };
}

function parse(data) {
  try {
    const chunk = JSON.parse(data);
    return chunk && typeof chunk === "object" ? chunk : null;
  } catch {
    return null;
  }
}

function takeDelta(answer, delta) {
  const text = (delta.content ?? "") + (delta.refusal ?? "");
  const reasoning = delta.reasoning_content || delta.reasoning || detailed(delta.reasoning_details);
  if (typeof text === "string") answer.text += text;
  if (typeof reasoning === "string") answer.reasoning += reasoning;
  const calls = Array.isArray(delta.tool_calls) ? delta.tool_calls : [];
  for (const call of calls) takeCall(answer.calls, call);
  return Boolean(text || reasoning || calls.length);
}

/** Reasoning that is told in `reasoning_details` alone. */
function detailed(details) {
  return Array.isArray(details) ? details.map((each) => each?.text ?? each?.summary ?? "").join("") : "";
}

function takeCall(calls, piece) {
  const at = piece.index ?? Math.max(calls.length - 1, 0);
  calls[at] ??= { id: "", name: "", arguments: "" };
  const call = calls[at];
  if (piece.id) call.id = piece.id;
  const inside = piece.function ?? piece.custom ?? {};
  if (inside.name) call.name ||= inside.name;
  call.arguments += inside.arguments ?? inside.input ?? "";
}

function usageOf(usage) {
  return {
    input: usage.prompt_tokens ?? null,
    output: usage.completion_tokens ?? null,
    cached: usage.prompt_tokens_details?.cached_tokens ?? null,
    reasoning: usage.completion_tokens_details?.reasoning_tokens ?? null,
  };
}
