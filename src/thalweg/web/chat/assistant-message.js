// An answer on the page: thoughts, text, calls, how it stands, its figures, and what can be done with it.
// What has been written stays: text, thoughts and arguments only grow; the rest is told anew when the state changes.

import { copyText } from "../lib/clipboard.js";
import { button, el, icon, stamp } from "../lib/dom.js";
import { seconds } from "../lib/format.js";
import { MarkdownBody } from "../lib/markdown.js";
import { t } from "../lib/words.js";
import { CallView } from "./calls.js";
import { detailsOf, factLine, idRows, sourceWord } from "./facts.js";
import { explain } from "./faults.js";
import { openPopover } from "./popover.js";
import { UNDER_WAY } from "./run.js";
import { branchesOf } from "./user-message.js";
import { whole, fixed } from "../lib/format.js";

const PROGRESS = {
  connecting: "state_connecting",
  waiting: "state_waiting",
  streaming: "state_streaming",
  stopping: "state_stopping",
};

/** How an answer under way stands, in words. */
export function progressOf(message, since, now) {
  const time = since === null ? "" : seconds(Math.max(0, now - since));
  return t(PROGRESS[message.state], { time });
}

/** One answer. */
export class AssistantView {
  #parts = stamp("assistant-template");
  #text = null;
  #reasoning = null;
  #calls = [];
  #sendResults = null;
  #chat;
  #highlighter;

  /**
   * @param {object} message
   * @param {object} context
   * @param {object} context.chat what a person may do: `regenerate`, `proceed`, `remove`, `retry`, `answerCalls`, …
   * @param {import("../lib/highlight.js").Highlighter} context.highlighter
   */
  constructor(message, { chat, highlighter }) {
    this.message = message;
    this.root = this.#parts.root;
    this.#chat = chat;
    this.#highlighter = highlighter;
    this.root.dataset.id = message.id;
    this.#parts.facts.addEventListener("click", () => this.#openDetails());
  }

  /** Show the message in its place; `place` tells of its siblings, `results` of its calls, `last` of its end. */
  show(message, { place, results, last }) {
    this.message = message;
    this.place = place;
    this.results = results;
    this.last = last;
    this.grow();
    this.settle();
  }

  /** Show what has come since. Only adds. */
  grow() {
    const { message } = this;
    if (message.reasoning) {
      this.#reasoning ??= this.#startReasoning();
      this.#reasoning.sync(message.reasoning);
    }
    if (message.text) {
      this.#text ??= new MarkdownBody(this.#parts.body, (code, language) => this.#highlighter.paint(code, language));
      this.#text.sync(message.text);
    }
    message.calls?.forEach((call, at) => {
      if (call) this.#callView(at).sync(call);
    });
  }

  /** Show how it stands. */
  settle() {
    const { message, root } = this;
    const underWay = UNDER_WAY.has(message.state);
    root.dataset.state = message.state;
    root.classList.toggle("under-way", underWay);
    root.setAttribute("aria-label", t("answer_of", { model: message.model }));
    this.#parts.model.textContent = message.model;
    this.#parts.simulated.hidden = !message.simulated;
    this.#parts.body.setAttribute("aria-busy", String(underWay));
    if (!underWay) {
      this.#text?.end();
      this.#reasoning?.end();
    }
    this.#settleCalls(underWay);
    this.#settleNotice(underWay);
    // Once there is text, how it stands is told where nothing moves: in the composer.
    this.#parts.progress.hidden = !underWay || this.#hasContent;
    this.tick(performance.now());
    const line = underWay ? "" : factLine(message);
    this.#parts.facts.hidden = underWay;
    this.#parts.facts.textContent = line || t("details");
    this.#parts.facts.setAttribute("aria-label", line ? t("details_of", { line }) : t("details"));
    this.#parts.actions.replaceChildren(...(underWay ? [] : this.#actions()));
  }

  /** Say how long it has been going on. */
  tick(now) {
    const { message } = this;
    if (message.thinkingSince !== undefined || message.thoughtMs !== undefined) this.#sayThoughts();
    if (this.#parts.progress.hidden) return;
    this.#parts.progressSays.textContent = progressOf(message, this.#chat.begunOf(message), now);
  }

  get #hasContent() {
    return Boolean(this.message.text || this.message.reasoning || this.message.calls?.length);
  }

  /** It leaves the page. */
  leave() {
    this.#highlighter.forget(this.root);
    this.root.remove();
  }

  #startReasoning() {
    this.#parts.thoughts.hidden = false;
    return new MarkdownBody(this.#parts.reasoning, (code, language) => this.#highlighter.paint(code, language));
  }

  #sayThoughts() {
    const { message } = this;
    const thinks = message.thoughtMs === undefined;
    const ms = thinks ? Date.now() - message.thinkingSince : message.thoughtMs;
    this.#parts.thoughtsSay.textContent = t(thinks ? "thinking" : "thought_for", { time: seconds(ms) });
  }

  // Calls

  #callView(at) {
    if (!this.#calls[at]) {
      this.#parts.calls.hidden = false;
      this.#calls[at] = new CallView();
      this.#parts.calls.append(this.#calls[at].root);
    }
    return this.#calls[at];
  }

  #settleCalls(underWay) {
    const { message } = this;
    if (this.#calls.length === 0) return;
    const open = !underWay && this.last && message.calls.some((call) => !this.results.has(call.id));
    message.calls.forEach((call, at) =>
      this.#calls[at]?.settle({ underWay, result: this.results.get(call.id) ?? null, open }),
    );
    this.#sendResults?.remove();
    this.#sendResults = open ? this.#resultsButton() : null;
    if (this.#sendResults) this.#parts.calls.append(this.#sendResults);
  }

  #resultsButton() {
    const { calls } = this.message;
    return button({
      icon: "send",
      text: t("send_results", { count: calls.length }),
      class: "primary small calls-send",
      click: () =>
        this.#chat.answerCalls(
          this.message,
          calls.map((_, at) => this.#calls[at].typed),
        ),
    });
  }

  // How it ended

  #settleNotice(underWay) {
    const before = this.#parts.notice;
    const made = (underWay ? null : this.#notice()) ?? el("div", { hidden: true });
    before.replaceWith(made);
    this.#parts.notice = made;
  }

  #notice() {
    const { message } = this;
    if (message.state === "failed") return this.#faultNotice("bad");
    if (message.state === "cut") return this.#faultNotice("");
    if (message.state === "stopped")
      return el("div", { class: "notice" }, el("span", { text: stopLine(message) }), ...this.#goOn());
    if (message.finish === "length")
      return el("div", { class: "notice" }, el("span", { text: t("ended_by_length") }), ...this.#goOn());
    if (message.finish === "content_filter")
      return el("div", { class: "notice" }, el("span", { text: t("ended_by_filter") }));
    if (!message.text && !message.calls?.length && message.state === "done") {
      return el("div", { class: "notice" }, el("span", { text: t("ended_empty") }));
    }
    return null;
  }

  #faultNotice(tone) {
    const { message } = this;
    const fault = message.fault ?? { kind: "broke" };
    const { title, advice } = explain(fault);
    const failed = message.state === "failed";
    const ids = [
      ...(fault.code || fault.status ? [[t("fault_code"), [fault.status, fault.code].filter(Boolean).join(" ")]] : []),
      ...idRows(message),
    ];
    return el(
      "div",
      { class: `notice boxed ${tone}`, role: "group", "aria-label": title },
      el(
        "div",
        { class: "notice-title" },
        icon(failed ? "alert" : "cut"),
        el("span", { text: failed ? title : t("cut_title") }),
      ),
      el("div", { class: "notice-text", text: failed ? advice : t("cut_text", { why: title, advice }) }),
      fault.message ? el("div", { class: "notice-said", dir: "auto", text: fault.message }) : null,
      ids.length
        ? el(
            "div",
            { class: "notice-ids" },
            ...ids.map(([name, value]) => el("span", { text: t("named", { name, value }) })),
          )
        : null,
      el("div", { class: "notice-row" }, ...(failed ? this.#tryAgain() : this.#goOn(true))),
    );
  }

  #tryAgain() {
    const key = this.message.fault?.kind === "unauthorised";
    return [
      key
        ? button({ icon: "key", text: t("enter_key"), class: "primary small", click: () => this.#chat.askForKey() })
        : null,
      button({
        icon: "again",
        text: t("retry"),
        class: key ? "plain small" : "primary small",
        click: () => this.#chat.retry(this.message),
      }),
    ].filter(Boolean);
  }

  #goOn(boxed = false) {
    if (!this.last || this.message.calls?.length) {
      return boxed
        ? [
            button({
              icon: "again",
              text: t("regenerate"),
              class: "plain small",
              click: () => this.#chat.regenerate(this.message),
            }),
          ]
        : [];
    }
    return [
      el(
        "span",
        { class: "notice-row" },
        this.message.text
          ? button({ icon: "jump", text: t("continue"), class: "plain small", click: () => this.#chat.proceed() })
          : null,
        boxed || !this.message.text
          ? button({
              icon: "again",
              text: t("regenerate"),
              class: "plain small",
              click: () => this.#chat.regenerate(this.message),
            })
          : null,
      ),
    ];
  }

  // What can be done with it

  #actions() {
    const { message } = this;
    const copy = button({
      icon: "copy",
      label: t("copy"),
      class: "quiet small",
      click: () => copyText(message.text, copy),
    });
    return [
      branchesOf(this.place, this.#chat),
      message.text ? copy : null,
      button({
        icon: "again",
        label: t("regenerate"),
        class: "quiet small",
        click: () => this.#chat.regenerate(message),
      }),
      button({ icon: "bin", label: t("delete"), class: "quiet small", click: () => this.#chat.remove(message) }),
    ].filter(Boolean);
  }

  #openDetails() {
    const { message } = this;
    const copy = button({
      icon: "command",
      text: t("copy_curl"),
      class: "plain small",
      click: () => copyText(this.#chat.curlOf(message), copy),
    });
    const ids = idRows(message).map(([, value]) => value);
    const copyIds = button({
      icon: "copy",
      text: t("copy_ids"),
      class: "plain small",
      click: () => copyText(ids.join("\n"), copyIds),
    });
    openPopover(this.#parts.facts, detailsOf(message, ids.length ? [copy, copyIds] : [copy]), { label: t("details") });
  }
}

/** What stopping came to. */
export function stopLine(message) {
  const { stop } = message;
  if (!stop) return t("stopped");
  const closed = t("stopped_closed", { n: fixed(stop.upstream_closed_ms, stop.upstream_closed_ms < 10 ? 1 : 0) });
  if (typeof stop.tokens !== "number") return closed;
  return t("stopped_tokens", {
    closed,
    tokens: t("n_tokens", { count: stop.tokens, n: whole(stop.tokens) }),
    source: sourceWord(stop.source),
  });
}
