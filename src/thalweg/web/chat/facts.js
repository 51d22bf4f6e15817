// The figures of an answer: a line below it, and all of them beside a button.

import { el } from "../lib/dom.js";
import { fixed, moment, seconds, whole } from "../lib/format.js";
import { t } from "../lib/words.js";
import { rateOf, tokensOf } from "./run.js";

const SOURCES = {
  reported: "source_reported",
  counted: "source_counted",
  estimated: "source_estimated",
  unknown: "source_unknown",
};

const FINISHES = {
  stop: "finish_stop",
  length: "finish_length",
  tool_calls: "finish_tools",
  content_filter: "finish_filter",
};

/** How the tokens are known. */
export function sourceWord(source) {
  return t(SOURCES[source] ?? "source_unknown");
}

/** The line: what matters at a glance; empty where nothing is known. */
export function factLine(message) {
  const { output, source } = tokensOf(message);
  const rate = rateOf(message);
  const tokens = output === null ? null : t("n_tokens", { count: output, n: whole(output) });
  return [
    message.ttftMs === null || message.ttftMs === undefined ? null : t("fact_ttft", { time: seconds(message.ttftMs) }),
    rate === null ? null : t("fact_rate", { n: fixed(rate, rate < 10 ? 1 : 0) }),
    tokens && source !== "reported" ? t("fact_marked", { tokens, source: sourceWord(source) }) : tokens,
  ]
    .filter(Boolean)
    .join(" · ");
}

/** All figures: rows of a name and a value. */
export function factRows(message) {
  const { output, source } = tokensOf(message);
  const usage = message.usage ?? {};
  const rate = rateOf(message);
  const rows = [
    ["fact_model", message.model],
    ["fact_when", moment(message.at)],
    ["fact_answered_by", message.simulated ? t("fact_simulator") : null],
    ["fact_first", isThere(message.ttftMs) ? seconds(message.ttftMs) : null],
    ["fact_total", isThere(message.totalMs) ? seconds(message.totalMs) : null],
    ["fact_speed", rate === null ? null : t("fact_rate", { n: fixed(rate, 1) })],
    ["fact_input", counted(usage.input, usage.cached, "fact_cached")],
    ["fact_output", counted(output, usage.reasoning, "fact_reasoning")],
    ["fact_source", output === null && !isThere(usage.input) ? null : sourceWord(source)],
    ["fact_finish", message.finish ? t(FINISHES[message.finish] ?? message.finish) : null],
    ["fact_closed", message.stop ? t("unit_ms", { n: fixed(message.stop.upstream_closed_ms, 1) }) : null],
    ["fact_dropped", message.dropped],
  ];
  return rows.filter(([, value]) => value).map(([key, value]) => [t(key), value]);
}

/** The ids by which a request is found again. */
export function idRows(message) {
  const rows = [
    ["fact_stream", message.streamId],
    ["fact_request", message.requestId === message.streamId ? null : message.requestId],
  ];
  return rows.filter(([, value]) => value).map(([key, value]) => [t(key), value]);
}

function isThere(value) {
  return value !== null && value !== undefined;
}

function counted(count, among, key) {
  if (!isThere(count)) return null;
  const tokens = t("n_tokens", { count, n: whole(count) });
  return among ? t("fact_among", { tokens, among: t(key, { n: whole(among) }) }) : tokens;
}

/** The details, as they stand in the popover. */
export function detailsOf(message, actions) {
  const list = el("dl");
  for (const [name, value] of factRows(message)) list.append(el("dt", { text: name }), el("dd", { text: value }));
  for (const [name, value] of idRows(message))
    list.append(el("dt", { text: name }), el("dd", { class: "id", text: value }));
  return el("div", { class: "details" }, list, el("div", { class: "details-row" }, ...actions));
}
