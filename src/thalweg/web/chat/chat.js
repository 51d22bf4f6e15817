// The conversations: which one is open, its messages, and everything that can be done with them. The page is told what
// to show; it knows nothing of storage, requests or branches.

import { curlOf, requestBody } from "../api/request.js";
import { newId } from "../lib/ids.js";
import { t } from "../lib/words.js";
import { choose, pathOf, subtree, titleOf } from "./tree.js";
import { Run, UNDER_WAY } from "./run.js";

const SAVE_MS = 500;

/**
 * What the page does for the chat.
 * @typedef {object} Page
 * @property {() => void} opened another conversation is open, or none
 * @property {() => void} listed the list of conversations is another
 * @property {() => void} shown the open conversation has other messages
 * @property {(message: object) => void} changed a message stands otherwise
 * @property {(message: object) => void} grown a message has more to show
 * @property {(message: object) => void} ended a message will not change by itself any more
 * @property {(text: string, undo: () => void) => void} undoable something was taken away
 * @property {() => void} busy something cannot be done before the answer under way is over
 * @property {() => void} unkept the browser could not save something
 */

/** One for the page. */
export class Chat {
  #store;
  #gateway;
  #settings;
  #page;
  #tabs = null;
  /** Answers under way, by their message's id. */
  #runs = new Map();
  #saves = new Map();
  /** Conversations that were deleted while an answer in them was made: it is not kept. */
  #gone = new Set();
  /** The page is being left: answers under way break off, and how they end is found out by the page that comes next. */
  #leaving = false;

  /** The open conversation; `null` before its first message. */
  conversation = null;
  messages = [];
  /** What the next conversation begins with. */
  fresh;
  /** The model for those who have never chosen one. */
  firstModel = "";

  constructor({ store, gateway, settings, page }) {
    this.#store = store;
    this.#gateway = gateway;
    this.#settings = settings;
    this.#page = page;
    this.#refresh();
  }

  #refresh() {
    this.fresh = {
      model: this.#settings.get("model") || this.firstModel,
      parameters: { ...this.#settings.get("parameters") },
    };
  }

  set tabs(tabs) {
    this.#tabs = tabs;
  }

  // What is open

  get id() {
    return this.conversation?.id ?? "new";
  }

  get model() {
    return (this.conversation ?? this.fresh).model;
  }

  get parameters() {
    return (this.conversation ?? this.fresh).parameters;
  }

  get path() {
    return pathOf(this.messages, this.conversation?.chosen ?? {});
  }

  /** The answer that is made in the open conversation. */
  get running() {
    return this.messages.find((message) => this.#runs.has(message.id)) ?? null;
  }

  /** Whether an answer is made in a conversation. */
  isRunning(conversation) {
    return [...this.#runs.values()].some((run) => run.message.conversation === conversation);
  }

  /** Whether this tab makes that answer. */
  isMine(message) {
    return this.#runs.has(message);
  }

  /** Since when an answer is made, or `null` where another tab makes it. */
  begunOf(message) {
    return this.#runs.get(message.id)?.begun ?? null;
  }

  conversations() {
    return this.#store.conversations();
  }

  search(words) {
    return this.#store.search(words);
  }

  /** Begin anew. */
  openNew() {
    this.conversation = null;
    this.messages = [];
    this.#refresh();
    this.#page.opened();
  }

  /** Open a conversation. Returns whether it is there. */
  async open(id) {
    const conversation = await this.#store.conversation(id);
    if (!conversation) return false;
    this.conversation = conversation;
    this.messages = await this.#load(id);
    this.#page.opened();
    this.#findBroken();
    return true;
  }

  /** Another tab has changed a conversation. */
  async changedElsewhere(id) {
    this.#page.listed();
    if (!id || id !== this.conversation?.id) return;
    const conversation = await this.#store.conversation(id);
    const messages = await this.#load(id);
    if (this.conversation?.id !== id) return;
    if (!conversation) return this.openNew();
    this.conversation = conversation;
    this.messages = messages;
    this.#page.shown();
  }

  async #load(id) {
    const messages = await this.#store.messages(id);
    return messages.map((message) => this.#runs.get(message.id)?.message ?? message);
  }

  /** Answers that nobody makes any more, because their tab was closed or loaded anew: what had come stays. */
  async #findBroken() {
    const orphans = this.messages.filter((message) => UNDER_WAY.has(message.state) && !this.#runs.has(message.id));
    for (const message of orphans) {
      if (await this.#tabs?.isElsewhere(message.id)) continue;
      const content = message.text || message.reasoning || message.calls?.length;
      message.state = content ? "cut" : "failed";
      message.fault = { kind: "reload", message: "", code: null };
      delete message.thinkingSince;
      message.thoughtMs ??= message.reasoning ? 0 : undefined;
      await this.#store.put({ messages: [message] });
      if (this.messages.includes(message)) this.#page.changed(message);
    }
  }

  // Choices

  async setModel(model) {
    this.#settings.set("model", model);
    await this.#setOnConversation({ model });
  }

  async setParameters(parameters) {
    const { tools, exampleTools, system, ...lasting } = parameters;
    // Instructions and tools belong to one conversation; how a model samples is a habit.
    this.#settings.set("parameters", lasting);
    await this.#setOnConversation({ parameters });
  }

  async #setOnConversation(values) {
    Object.assign(this.conversation ?? this.fresh, values);
    if (this.conversation) await this.#store.put({ conversations: [this.conversation] });
  }

  /** Show this message's branch. */
  async choose(message) {
    this.conversation.chosen = choose(this.conversation.chosen, message);
    this.#page.shown();
    await this.#store.put({ conversations: [this.conversation] });
  }

  async rename(conversation, title) {
    conversation.title = title;
    if (this.conversation?.id === conversation.id) this.conversation.title = title;
    await this.#keep({ conversations: [conversation] }, conversation.id);
  }

  // Talking

  /** Whether nothing is under way here; else the page says so. */
  #isFree() {
    if (this.running) this.#page.busy();
    return !this.running;
  }

  /** Ask something at the end of what is shown. */
  async send(text, images = [], files = []) {
    if (!this.#isFree()) return;
    if (!this.conversation) this.#begin(text, images, files);
    const path = this.path;
    await this.#ask({ role: "user", text, images, files }, path[path.length - 1]?.id ?? null);
  }

  /** Ask in other words what was asked before: a branch beside it. */
  async resend(message, text) {
    if (!this.#isFree() || (!text.trim() && !message.images?.length && !message.files?.length)) return;
    await this.#ask({ role: "user", text: text.trim(), images: message.images, files: message.files }, message.parent);
  }

  /** Another answer to the same question. */
  async regenerate(message) {
    if (!this.#isFree()) return;
    await this.#answer(message.parent);
  }

  /** The same again in place of one that failed. */
  async retry(message) {
    if (!this.#isFree()) return;
    await this.#delete([message]);
    await this.#answer(message.parent);
  }

  /** Have the last answer go on. */
  proceed() {
    return this.send(t("continue_prompt"));
  }

  /** Give the results of an answer's calls, and have it go on. */
  async answerCalls(message, results) {
    if (!this.#isFree()) return;
    let parent = message.id;
    const made = message.calls.map((call, at) => {
      const result = this.#message({ role: "tool", callId: call.id, name: call.name, text: results[at] }, parent);
      parent = result.id;
      return result;
    });
    this.messages.push(...made);
    await this.#keep({ messages: made }, this.conversation.id);
    await this.#answer(parent);
  }

  /** Stop the answer that is made in the open conversation. Returns whether there is one. */
  stop() {
    const running = this.running;
    if (!running) return false;
    this.#runs.get(running.id).stop();
    return true;
  }

  #begin(text, images, files) {
    const now = Date.now();
    this.conversation = {
      id: newId(),
      title: titleOf(text) || files[0]?.name || images[0]?.name || "",
      created: now,
      updated: now,
      model: this.fresh.model,
      parameters: { ...this.fresh.parameters },
      chosen: {},
    };
    this.messages = [];
    this.#page.opened();
  }

  #message(what, parent) {
    // Two that are made in the same millisecond keep their order.
    const at = Math.max(Date.now(), ...this.messages.map((message) => message.at + 1));
    return { id: newId(), conversation: this.conversation.id, parent, at, ...what };
  }

  async #ask(what, parent) {
    const message = this.#message(what, parent);
    this.#add(message);
    await this.#keep({ conversations: [this.conversation], messages: [message] }, this.conversation.id);
    await this.#answer(message.id);
  }

  #add(message) {
    this.messages = [...this.messages, message];
    this.conversation.chosen = choose(this.conversation.chosen, message);
    this.conversation.updated = Date.now();
  }

  async #answer(parent) {
    this.#leaving = false;
    const { conversation } = this;
    const model = conversation.model;
    const parameters = { ...conversation.parameters };
    const message = this.#message(
      { role: "assistant", model, parameters, text: "", reasoning: "", calls: [], state: "connecting" },
      parent,
    );
    this.#add(message);
    const run = new Run({
      gateway: this.#gateway,
      message,
      body: this.#bodyBefore(message),
      changed: () => this.#page.changed(message),
      content: () => {
        this.#page.grown(message);
        this.#saveSoon(message);
      },
    });
    this.#runs.set(message.id, run);
    this.#page.shown();
    this.#page.listed();
    // Neither the request nor the end waits for the disk, which writes in the order that it is asked to: an answer that
    // is seen whole is on its way there.
    this.#keep({ conversations: [conversation], messages: [message] }, conversation.id);
    await run.toEnd();
    this.#runs.delete(message.id);
    clearTimeout(this.#saves.get(message.id));
    this.#saves.delete(message.id);
    if (this.#gone.has(conversation.id) || (this.#leaving && message.state !== "done")) return;
    // Whoever sees that it is over may ask on: the page is told in the same moment, and not when the disk is ready.
    this.#keep({ messages: [message] }, conversation.id);
    this.#page.ended(message);
  }

  #bodyBefore(message) {
    const byId = new Map(this.messages.map((each) => [each.id, each]));
    const before = [];
    for (let here = byId.get(message.parent); here; here = byId.get(here.parent)) before.unshift(here);
    return requestBody(before, { model: message.model, parameters: message.parameters ?? {} });
  }

  /** The request behind an answer, for a shell. */
  curlOf(message) {
    return curlOf(location.origin, this.#bodyBefore(message), { keyed: this.#gateway.isKeyed });
  }

  // Taking away

  /** Delete a message and what follows it. */
  async remove(message) {
    if (!this.#isFree()) return;
    const { conversation } = this;
    const gone = subtree(this.messages, message.id);
    await this.#delete(gone);
    this.#page.shown();
    this.#page.undoable(t("message_deleted"), async () => {
      await this.#keep({ messages: gone }, conversation.id);
      await this.changedElsewhere(conversation.id);
    });
  }

  /** Delete a conversation. */
  async removeConversation(id) {
    this.#gone.add(id);
    for (const run of this.#runs.values()) if (run.message.conversation === id) run.stop();
    const gone = await this.#store.deleteConversation(id);
    if (this.conversation?.id === id) this.openNew();
    this.#told(id);
    this.#page.undoable(t("conversation_deleted"), () => {
      this.#gone.delete(id);
      return this.#keep(gone, id);
    });
  }

  async #delete(gone) {
    const ids = new Set(gone.map((message) => message.id));
    this.messages = this.messages.filter((message) => !ids.has(message.id));
    await this.#store.deleteMessages([...ids]);
    this.#told(this.conversation.id);
  }

  // Files

  /** Conversations with their messages: one, or all. */
  async entries(id = null) {
    const conversations = id ? [await this.#store.conversation(id)] : await this.#store.conversations();
    return Promise.all(
      conversations.map(async (conversation) => ({
        conversation,
        messages: await this.#store.messages(conversation.id),
      })),
    );
  }

  /** Take conversations in. Returns the first one's id. */
  async takeIn(entries) {
    await this.#keep(
      {
        conversations: entries.map((entry) => entry.conversation),
        messages: entries.flatMap((entry) => entry.messages),
      },
      null,
    );
    return entries[0].conversation.id;
  }

  // Keeping

  /** The page is left: what has come of answers under way is on its way to the disk. */
  leave() {
    this.#leaving = true;
    const messages = [...this.#runs.values()].map((run) => run.message);
    const kept = messages.filter((message) => !this.#gone.has(message.conversation));
    if (kept.length > 0) this.#keep({ messages: kept }, kept[0].conversation, false);
  }

  /** It was not left for good. */
  comeBack() {
    this.#leaving = false;
  }

  #saveSoon(message) {
    if (this.#saves.has(message.id)) return;
    this.#saves.set(
      message.id,
      setTimeout(() => {
        this.#saves.delete(message.id);
        if (!this.#gone.has(message.conversation)) this.#keep({ messages: [message] }, message.conversation, false);
      }, SAVE_MS),
    );
  }

  async #keep(records, conversation, listed = true) {
    try {
      await this.#store.put(records);
    } catch (error) {
      this.#page.unkept(error);
    }
    this.#told(conversation, listed);
  }

  #told(conversation, listed = true) {
    this.#tabs?.tell(conversation);
    if (listed) this.#page.listed();
  }
}
