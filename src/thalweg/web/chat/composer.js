// Where one writes: text, pictures, files; sending and stopping. A draft outlives a reload.

import { button, el, icon } from "../lib/dom.js";
import { bytes } from "../lib/format.js";
import { t } from "../lib/words.js";
import { readFiles } from "./attachments.js";

const DRAFT_MS = 250;
const TOUCH = matchMedia("(pointer: coarse)");

/** The box at the foot of the page. One for the page. */
export class Composer {
  #parts;
  #acts;
  #images = [];
  #files = [];
  #draftTimer = null;
  #busy = false;

  /**
   * @param {Record<string, HTMLElement>} parts the page's
   * @param {object} acts
   * @param {(text: string, images: object[], files: object[]) => void} acts.send
   * @param {() => void} acts.stop
   * @param {() => void} acts.editLast
   * @param {(draft: object) => void} acts.keepDraft
   * @param {(text: string) => void} acts.keepLastWords the page is left, and a draft may not be kept in time
   * @param {(text: string) => void} acts.say
   */
  constructor(parts, acts) {
    this.#parts = parts;
    this.#acts = acts;
    parts.composer.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
    parts.stop.addEventListener("click", () => acts.stop());
    parts.attach.addEventListener("click", () => parts.files.click());
    parts.files.addEventListener("change", () => {
      this.add(parts.files.files);
      parts.files.value = "";
    });
    parts.text.addEventListener("input", () => this.#changed());
    parts.text.addEventListener("keydown", (event) => this.#key(event));
    parts.text.addEventListener("paste", (event) => this.#paste(event));
    addEventListener("pagehide", () => acts.keepLastWords(parts.text.value));
    document.addEventListener("visibilitychange", () => document.hidden && this.#keepDraft());
    this.#listenForDrops();
    // On glass there is no Shift: Enter makes a line there, and the button sends.
    parts.text.enterKeyHint = TOUCH.matches ? "enter" : "send";
    this.#changed();
  }

  get isEmpty() {
    return !this.#parts.text.value.trim() && this.#images.length + this.#files.length === 0;
  }

  focus() {
    this.#parts.text.focus();
  }

  /** Whether an answer is under way: then there is a button to stop it, and sending waits. */
  set busy(busy) {
    if (busy === this.#busy) return;
    const focused = document.activeElement;
    this.#busy = busy;
    this.#parts.send.hidden = busy;
    this.#parts.stop.hidden = !busy;
    if (focused === this.#parts.send || focused === this.#parts.stop) this.focus();
    this.#enable();
  }

  /** Put a draft in, or nothing. */
  fill(draft) {
    clearTimeout(this.#draftTimer);
    this.#draftTimer = null;
    this.#parts.text.value = draft?.text ?? "";
    this.#images = draft?.images ?? [];
    this.#files = draft?.files ?? [];
    this.#showAttachments();
    this.#grow();
    this.#enable();
  }

  /** Take files along. */
  async add(files) {
    const already = [...this.#images, ...this.#files].reduce((sum, each) => sum + each.size, 0);
    const read = await readFiles([...files], already);
    this.#images.push(...read.images);
    this.#files.push(...read.files);
    if (read.refused.length) this.#acts.say(read.refused.join(" "));
    this.#showAttachments();
    this.#changed();
    this.focus();
  }

  /** What stands there is kept already, or belongs elsewhere: nothing more is to be kept of it. */
  flush() {
    if (this.#draftTimer) this.#keepDraft();
  }

  #send() {
    if (this.#busy || this.isEmpty) return;
    const text = this.#parts.text.value.trim();
    const [images, files] = [this.#images, this.#files];
    this.fill(null);
    this.#keepDraft();
    this.#acts.send(text, images, files);
  }

  #key(event) {
    // A press of Enter that chooses among an input method's proposals sends nothing.
    if (event.isComposing || event.keyCode === 229) return;
    const sends = event.ctrlKey || event.metaKey || (!event.shiftKey && !event.altKey && !TOUCH.matches);
    if (event.key === "Enter" && sends) {
      event.preventDefault();
      this.#send();
    } else if (event.key === "ArrowUp" && this.isEmpty && !this.#busy) {
      event.preventDefault();
      this.#acts.editLast();
    }
  }

  #paste(event) {
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length === 0 || event.clipboardData.getData("text/plain")) return;
    event.preventDefault();
    this.add(files);
  }

  #listenForDrops() {
    const { main, drop } = this.#parts;
    let depth = 0;
    const has = (event) => event.dataTransfer?.types.includes("Files");
    const show = (shown) => {
      drop.hidden = !shown;
      if (!shown) depth = 0;
    };
    main.addEventListener("dragenter", (event) => {
      if (!has(event)) return;
      depth += 1;
      show(true);
    });
    main.addEventListener("dragleave", (event) => has(event) && --depth <= 0 && show(false));
    main.addEventListener("dragover", (event) => has(event) && event.preventDefault());
    main.addEventListener("drop", (event) => {
      if (!has(event)) return;
      event.preventDefault();
      show(false);
      this.add(event.dataTransfer.files);
    });
  }

  #changed() {
    this.#grow();
    this.#enable();
    clearTimeout(this.#draftTimer);
    this.#draftTimer = setTimeout(() => this.#keepDraft(), DRAFT_MS);
  }

  #keepDraft() {
    clearTimeout(this.#draftTimer);
    this.#draftTimer = null;
    this.#acts.keepDraft({ text: this.#parts.text.value, images: this.#images, files: this.#files });
  }

  #enable() {
    this.#parts.send.disabled = this.isEmpty;
  }

  /** Browsers that cannot size a field by its content are told. */
  #grow() {
    if (CSS.supports("field-sizing", "content")) return;
    const { text } = this.#parts;
    text.style.height = "auto";
    text.style.height = `${text.scrollHeight}px`;
  }

  #showAttachments() {
    const { attachments } = this.#parts;
    attachments.hidden = this.#images.length + this.#files.length === 0;
    attachments.replaceChildren(
      ...this.#images.map((image) =>
        this.#card("attachment image", image, el("img", { src: image.url, alt: image.name })),
      ),
      ...this.#files.map((file) =>
        this.#card(
          "attachment",
          file,
          icon("file"),
          el(
            "span",
            { class: "attachment-name" },
            file.name,
            el("span", { class: "attachment-size", text: bytes(file.size) }),
          ),
        ),
      ),
    );
  }

  #card(name, what, ...inside) {
    const remove = button({
      icon: "close",
      label: t("remove_file", { name: what.name }),
      class: "attachment-remove",
      click: () => {
        this.#images = this.#images.filter((each) => each !== what);
        this.#files = this.#files.filter((each) => each !== what);
        this.#showAttachments();
        this.#changed();
        this.focus();
      },
    });
    return el("div", { class: name }, ...inside, remove);
  }
}
