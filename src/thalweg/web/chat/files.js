// Conversations as files, out and in: JSON with everything, Markdown to read. Foreign files are taken apart field by
// field.

import { newId } from "../lib/ids.js";
import { pathOf } from "./tree.js";

const FORMAT = "thalweg-conversations";
const MARK = /^<!-- thalweg: (\{.*\}) -->$/;
const ROLES = new Set(["user", "assistant", "tool"]);
const ENDED = new Set(["done", "stopped", "cut", "failed"]);

/** JSON of conversations with all their branches. */
export function toJson(entries) {
  return JSON.stringify({ format: FORMAT, version: 1, conversations: entries }, null, 2);
}

/** Markdown of the branch that is shown. `words` names the speakers. */
export function toMarkdown({ conversation, messages }, words) {
  const lines = [`# ${conversation.title || words.untitled}`, ""];
  for (const message of pathOf(messages, conversation.chosen)) {
    const { role, model } = message;
    lines.push(`<!-- thalweg: ${JSON.stringify(model ? { role, model } : { role })} -->`);
    lines.push(`## ${role === "user" ? words.you : role === "tool" ? words.result : model}`, "");
    for (const file of message.files ?? []) lines.push(`_${file.name}_`, "");
    // A line of a message that looks like our mark must not be one.
    lines.push(...message.text.split("\n").map((line) => (MARK.test(line) ? ` ${line}` : line)), "");
    for (const call of message.calls ?? [])
      lines.push("```json", JSON.stringify({ [call.name]: call.arguments }), "```", "");
  }
  return lines.join("\n");
}

/** Entries out of a file of either kind. Throws `TypeError` for one that is neither. */
export function fromFile(name, text) {
  return name.endsWith(".md") ? [fromMarkdown(text)] : fromJson(text);
}

function fromJson(text) {
  let given;
  try {
    given = JSON.parse(text);
  } catch {
    throw new TypeError("no JSON");
  }
  if (given?.format !== FORMAT || !Array.isArray(given.conversations)) throw new TypeError("not ours");
  return given.conversations.map(entry).filter(Boolean);
}

function fromMarkdown(text) {
  const conversation = { title: (/^# (.+)$/m.exec(text)?.[1] ?? "").trim() };
  const messages = [];
  let lines = null;
  for (const line of text.split("\n")) {
    const mark = MARK.exec(line);
    if (mark) {
      lines = [];
      messages.push({ ...JSON.parse(mark[1]), lines });
    } else lines?.push(line.startsWith(" <!-- thalweg:") ? line.slice(1) : line);
  }
  if (messages.length === 0) throw new TypeError("not ours");
  let parent = null;
  const said = messages
    .filter(({ role }) => role !== "tool")
    .map(({ role, model, lines: all }, at) => {
      const id = String(at);
      const message = { id, parent, role, model, at, text: all.slice(1).join("\n").trim(), state: "done" };
      parent = id;
      return message;
    });
  return entry({ conversation, messages: said });
}

function text(value, most = 10_000_000) {
  return typeof value === "string" ? value.slice(0, most) : "";
}

function number(value, other) {
  return typeof value === "number" && Number.isFinite(value) ? value : other;
}

/** One conversation under new ids, so that it never writes over another. */
function entry(given) {
  if (!given?.conversation || !Array.isArray(given.messages)) return null;
  const now = Date.now();
  const ids = new Map(given.messages.map((message) => [message?.id, newId()]));
  const conversation = {
    id: newId(),
    title: text(given.conversation.title, 200),
    created: number(given.conversation.created, now),
    updated: number(given.conversation.updated, now),
    model: text(given.conversation.model, 300),
    parameters: parameters(given.conversation.parameters),
    chosen: chosen(given.conversation.chosen, ids),
  };
  const messages = given.messages
    .filter((message) => ROLES.has(message?.role) && (message.parent === null || ids.has(message.parent)))
    .map((message, at) => messageOf(message, conversation.id, ids, at));
  return messages.length ? { conversation, messages } : null;
}

function chosen(given, ids) {
  const pairs = Object.entries(given ?? {}).map(([from, to]) => [from === "root" ? from : ids.get(from), ids.get(to)]);
  return Object.fromEntries(pairs.filter(([from, to]) => from && to));
}

function parameters(given) {
  const kept = {};
  for (const name of ["system", "effort", "tools"]) if (typeof given?.[name] === "string") kept[name] = given[name];
  for (const name of ["temperature", "maxTokens"]) if (typeof given?.[name] === "number") kept[name] = given[name];
  if (given?.exampleTools === true) kept.exampleTools = true;
  return kept;
}

function messageOf(given, conversation, ids, at) {
  const base = {
    id: ids.get(given.id),
    conversation,
    parent: given.parent === null ? null : ids.get(given.parent),
    role: given.role,
    at: number(given.at, at),
    text: text(given.text),
  };
  return { ...base, ...REST[given.role](given) };
}

const REST = {
  user: (given) => ({ images: attached(given.images, "url"), files: attached(given.files, "text") }),
  tool: (given) => ({ callId: text(given.callId, 300), name: text(given.name, 300) }),
  assistant: (given) => ({
    reasoning: text(given.reasoning),
    calls: (Array.isArray(given.calls) ? given.calls : []).map((call) => ({
      id: text(call?.id, 300),
      name: text(call?.name, 300),
      arguments: text(call?.arguments),
    })),
    model: text(given.model, 300),
    parameters: parameters(given.parameters),
    state: ENDED.has(given.state) ? given.state : "cut",
    finish: given.finish ? text(given.finish, 100) : null,
    usage: usage(given.usage),
    ttftMs: number(given.ttftMs, null),
    streamMs: number(given.streamMs, null),
    totalMs: number(given.totalMs, null),
    thoughtMs: number(given.thoughtMs, undefined),
    simulated: given.simulated === true,
    streamId: given.streamId ? text(given.streamId, 100) : null,
    requestId: given.requestId ? text(given.requestId, 200) : null,
  }),
};

function usage(given) {
  if (!given) return null;
  const names = ["input", "output", "cached", "reasoning"];
  return Object.fromEntries(names.map((name) => [name, number(given[name], null)]));
}

function attached(given, field) {
  return (Array.isArray(given) ? given : [])
    .filter((each) => typeof each?.[field] === "string" && (field !== "url" || each.url.startsWith("data:image/")))
    .map((each) => ({ id: newId(), name: text(each.name, 300), size: number(each.size, 0), [field]: each[field] }));
}
