// Passing words, some with a way back.

import { button, el } from "../lib/dom.js";

const SHOWN_MS = 7000;

/** Shows them in one place. One for the page. */
export class Toasts {
  #root;

  constructor(root) {
    this.#root = root;
  }

  /** Say something; `undo` is the name and the deed of a button. */
  say(text, undo = null) {
    const toast = el("div", { class: "toast" }, el("span", { text }));
    const gone = () => toast.remove();
    if (undo) {
      toast.append(
        button({
          text: undo.text,
          class: "",
          click: () => {
            gone();
            undo.click();
          },
        }),
      );
    }
    this.#root.replaceChildren(toast);
    setTimeout(gone, SHOWN_MS);
  }
}
