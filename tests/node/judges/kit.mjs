// What every judge for Node shares; the lines are described in tests/conformance/judge.py.

import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";

export const BASE = process.env.BASE_URL ?? "http://127.0.0.1:8080";
export const KEY = process.env.API_KEY ?? "any";
export const TIMEOUT_MS = 30_000;

export class Got {
  constructor() {
    this.native = undefined;
    this.finish = null;
    this.usage = null;
    this.more = {};
    this.texts = [];
    this.thoughts = [];
    this.calls = new Map();
  }
  get text() {
    return this.texts.join("");
  }
  say(piece) {
    if (piece) this.texts.push(piece);
  }
  think(piece) {
    if (piece) this.thoughts.push(piece);
  }
  call(key, id, name, args) {
    if (!this.calls.has(key)) this.calls.set(key, { id: null, name: null, arguments: "" });
    const call = this.calls.get(key);
    call.id ??= id ?? null;
    call.name ??= name ?? null;
    if (typeof args === "string") call.arguments += args;
    else if (args !== undefined && args !== null) call.arguments = args;
  }
  count(input, output, reasoning) {
    this.usage = { input: input ?? null, output: output ?? null, reasoning: reasoning ?? null };
  }
  told() {
    const calls = [...this.calls.values()].map((call) => ({ ...call, arguments: parsed(call.arguments) }));
    return {
      text: this.text,
      deltas: this.texts.length,
      reasoning: this.thoughts.join(""),
      thoughts: this.thoughts.length,
      calls,
      finish: this.finish,
      usage: this.usage,
      ...this.more,
    };
  }
}

function parsed(args) {
  if (typeof args !== "string") return args;
  try {
    return JSON.parse(args || "{}");
  } catch {
    return { _unparsed: args };
  }
}

function told_error(raised) {
  const kinds = [];
  for (let kind = raised?.constructor; kind && kind.name && kind !== Error && kind !== Object; ) {
    kinds.push(kind.name);
    kind = Object.getPrototypeOf(kind);
  }
  if (raised?.name && !kinds.includes(raised.name)) kinds.unshift(raised.name);
  const status = raised?.status ?? raised?.statusCode ?? null;
  return {
    kinds,
    status: typeof status === "number" ? status : null,
    message: String(raised?.message || raised).slice(0, 400),
  };
}

async function answer(client, ask) {
  const got = new Got();
  let error = {};
  try {
    if (ask.way === "models") return { models: await client.models() };
    if (ask.way === "count") return { count: await client.count(ask) };
    await client.ways[ask.way](ask, got);
  } catch (raised) {
    error = { error: told_error(raised) };
    if (process.env.TRACE) console.error(raised);
  }
  client.natives.set(ask.id, got.native);
  return { ...got.told(), ...error };
}

// Each client has `ways`, and may have `models` and `count`; it is given `natives`, the answers so far by their numbers.
export async function serve(clients, packages) {
  const versions = {};
  for (const name of packages) {
    const place = new URL(`../node_modules/${name}/package.json`, import.meta.url);
    versions[name] = JSON.parse(readFileSync(place, "utf8")).version;
  }
  const write = process.stdout.write.bind(process.stdout);
  console.log = console.error;
  console.info = console.error;
  console.warn = console.error;
  write(JSON.stringify({ versions }) + "\n");
  for await (const line of createInterface({ input: process.stdin, terminal: false })) {
    const ask = JSON.parse(line);
    const told = await answer(clients[ask.client], ask);
    write(JSON.stringify({ id: ask.id, ...told }) + "\n");
  }
  process.exit(0);
}

export async function all(pages) {
  const found = [];
  for await (const each of pages) found.push(each);
  return found;
}

export const dataUrl = (picture) => `data:image/png;base64,${picture}`;
