// The dialogs: the gateway's key, a new name, shortcuts, settings. Each is a `<dialog>` of the page.

import { el, parts as partsOf } from "../lib/dom.js";
import { t } from "../lib/words.js";

function dialog(id) {
  const root = document.getElementById(id);
  return { root, ...partsOf(root) };
}

/** Closes by its button, by Escape, and by a press beside it. */
function closable(root, ...buttons) {
  buttons.forEach((each) => each.addEventListener("click", () => root.close()));
  root.addEventListener("click", (event) => event.target === root && root.close());
  // What is pressed in a dialog is for the dialog.
  root.addEventListener("keydown", (event) => event.stopPropagation());
}

/** Asks for the gateway's key. Resolves to it, or to `null` where somebody would rather not. */
export class KeyDialog {
  #parts = dialog("key-dialog");
  #answer = null;

  constructor() {
    const { root, form, key, later } = this.#parts;
    closable(root, later);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (!key.value.trim()) return key.focus();
      this.#resolve(key.value.trim());
      root.close();
    });
    root.addEventListener("close", () => this.#resolve(null));
  }

  /** `wrong`: there was a key, and it was refused. */
  ask({ wrong }) {
    const { root, key, problem } = this.#parts;
    problem.hidden = !wrong;
    problem.textContent = wrong ? t("key_wrong") : "";
    key.value = "";
    if (!root.open) root.showModal();
    key.focus();
    this.#answer ??= Promise.withResolvers ? Promise.withResolvers() : resolvers();
    return this.#answer.promise;
  }

  #resolve(value) {
    this.#answer?.resolve(value);
    this.#answer = null;
  }
}

function resolvers() {
  const made = {};
  made.promise = new Promise((resolve) => (made.resolve = resolve));
  return made;
}

/** Asks for a conversation's new name. */
export class RenameDialog {
  #parts = dialog("rename-dialog");
  #done = null;

  constructor() {
    const { root, form, name, cancel } = this.#parts;
    closable(root, cancel);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#done?.(name.value.trim());
      root.close();
    });
  }

  ask(title, done) {
    this.#done = done;
    this.#parts.name.value = title;
    this.#parts.root.showModal();
    this.#parts.name.select();
  }
}

/** Lists the shortcuts, and switches them off. */
export class ShortcutsDialog {
  #parts = dialog("shortcuts-dialog");

  constructor(settings, rows) {
    const { root, close, on } = this.#parts;
    this.rows = rows;
    closable(root, close);
    on.checked = settings.get("shortcuts");
    on.addEventListener("change", () => settings.set("shortcuts", on.checked));
  }

  open() {
    this.#parts.keys.replaceChildren(
      ...this.rows.flatMap(({ words, keys }) => [
        el("dt", { text: t(words) }),
        el("dd", {}, ...keys.map((key) => el("kbd", { text: key }))),
      ]),
    );
    this.#parts.root.showModal();
  }
}

/** What holds for this browser. */
export class SettingsDialog {
  #parts = dialog("settings-dialog");
  #acts;

  /** `acts`: `shortcuts`, `key`, `hasKey`, `import`, `export` */
  constructor(settings, acts) {
    const { root, close, shortcuts, key, importFile } = this.#parts;
    this.#acts = acts;
    closable(root, close);
    for (const name of ["theme", "language", "announce"]) this.#radios(settings, name);
    const then = (act) => () => {
      root.close();
      act();
    };
    shortcuts.addEventListener("click", then(acts.shortcuts));
    key.addEventListener("click", then(acts.key));
    this.#parts.export.addEventListener("click", then(acts.export));
    this.#parts.import.addEventListener("click", () => importFile.click());
    importFile.addEventListener("change", () => {
      root.close();
      acts.import([...importFile.files]);
      importFile.value = "";
    });
  }

  open() {
    this.#parts.keySays.textContent = t(this.#acts.hasKey() ? "forget_key" : "enter_key");
    this.#parts.root.showModal();
  }

  #radios(settings, name) {
    for (const radio of this.#parts[name].querySelectorAll("input")) {
      radio.checked = settings.get(name) === radio.value;
      radio.addEventListener("change", () => settings.set(name, radio.value));
    }
  }
}
