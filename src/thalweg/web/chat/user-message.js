// What was asked, on the page; and the way from branch to branch, which answers share.

import { copyText } from "../lib/clipboard.js";
import { button, el, icon, stamp } from "../lib/dom.js";
import { bytes } from "../lib/format.js";
import { t } from "../lib/words.js";

/** `‹ 2/3 ›`, or nothing where there is one branch only. */
export function branchesOf(place, chat) {
  if (place.of < 2) return null;
  const turn = (name, label, to) =>
    button({ icon: name, label, class: "quiet small", disabled: !to, click: () => chat.choose(to) });
  return el(
    "span",
    { class: "branches", role: "group", "aria-label": t("branch_of", { at: place.at, of: place.of }) },
    turn("left", t("branch_before"), place.before),
    el("span", { text: `${place.at}/${place.of}` }),
    turn("right", t("branch_after"), place.after),
  );
}

/** A file that goes along, or went along. */
export function fileCard(file) {
  return el(
    "div",
    { class: "attachment" },
    icon("file"),
    el(
      "span",
      { class: "attachment-name" },
      file.name,
      el("span", { class: "attachment-size", text: bytes(file.size) }),
    ),
  );
}

const LONG_LINES = 12;
const LONG_CHARS = 900;

function isLong(text) {
  return text.length > LONG_CHARS || text.split("\n", LONG_LINES + 1).length > LONG_LINES;
}

/** One message of the person's. */
export class UserView {
  #parts = stamp("user-template");
  #chat;
  #shown = null;

  constructor(message, { chat }) {
    this.message = message;
    this.root = this.#parts.root;
    this.root.dataset.id = message.id;
    this.#chat = chat;
    this.#parts.more.addEventListener("click", () => this.#fold(!this.#parts.bubble.classList.contains("long")));
  }

  /** Show the message in its place. */
  show(message, { place }) {
    this.message = message;
    this.root.setAttribute("aria-label", t("you_said"));
    if (this.#shown !== message.text) {
      this.#parts.text.textContent = message.text;
      this.#parts.bubble.hidden = !message.text;
      this.#shown = message.text;
      this.#fold(isLong(message.text));
      this.#showAttachments();
    }
    const copy = button({
      icon: "copy",
      label: t("copy"),
      class: "quiet small",
      click: () => copyText(message.text, copy),
    });
    this.#parts.actions.replaceChildren(
      ...[
        copy,
        button({ icon: "edit", label: t("edit"), class: "quiet small", click: () => this.edit() }),
        button({ icon: "bin", label: t("delete"), class: "quiet small", click: () => this.#chat.remove(message) }),
        branchesOf(place, this.#chat),
      ].filter(Boolean),
    );
  }

  /** Long texts show their beginning; the rest on demand. */
  #fold(folded) {
    const { bubble, more } = this.#parts;
    bubble.classList.toggle("long", folded);
    more.hidden = !isLong(this.message.text);
    more.textContent = t(folded ? "show_all" : "show_less");
    more.setAttribute("aria-expanded", String(!folded));
  }

  grow() {}

  settle() {}

  tick() {}

  leave() {
    this.root.remove();
  }

  /** Write it anew: sent, it becomes a branch beside the old one. */
  edit() {
    if (this.root.classList.contains("editing")) return;
    const field = el("textarea", { dir: "auto", "aria-label": t("edit"), rows: "2" });
    field.value = this.message.text;
    const box = el(
      "form",
      { class: "edit" },
      field,
      el(
        "div",
        { class: "edit-row" },
        button({ text: t("cancel"), class: "plain small", click: () => this.#endEdit(box) }),
        el("button", { type: "submit", class: "primary small", text: t("send") }),
      ),
    );
    box.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#endEdit(box);
      this.#chat.resend(this.message, field.value);
    });
    box.addEventListener("keydown", (event) => this.#editKey(event, box));
    this.root.classList.add("editing");
    this.root.append(box);
    field.focus();
    field.setSelectionRange(field.value.length, field.value.length);
  }

  #editKey(event, box) {
    if (event.isComposing) return;
    if (event.key === "Escape") {
      event.stopPropagation();
      this.#endEdit(box);
    } else if (event.key === "Enter" && !event.shiftKey && event.target.tagName === "TEXTAREA") {
      event.preventDefault();
      box.requestSubmit();
    }
  }

  #endEdit(box) {
    box.remove();
    this.root.classList.remove("editing");
    this.#parts.actions.querySelector("button")?.focus();
  }

  #showAttachments() {
    const { images = [], files = [] } = this.message;
    const box = this.#parts.attachments;
    box.hidden = images.length + files.length === 0;
    box.replaceChildren(
      ...images.map((image) => el("img", { src: image.url, alt: image.name || t("image") })),
      ...files.map(fileCard),
    );
  }
}
