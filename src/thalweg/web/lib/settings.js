// What a person has chosen for this browser. No secret is kept here: the gateway's key has its own place,
// lib/keyring.js.

const PLACE = "thalweg.settings";

const DEFAULTS = {
  theme: "system",
  language: "",
  sidebar: "open",
  announce: "sentences",
  shortcuts: true,
  model: "",
  parameters: {},
};

function read() {
  try {
    const kept = JSON.parse(localStorage.getItem(PLACE) ?? "{}");
    return kept && typeof kept === "object" ? kept : {};
  } catch {
    return {};
  }
}

/** The settings, with a listener for each change. One for the page. */
export class Settings extends EventTarget {
  #values = { ...DEFAULTS, ...read() };

  get(name) {
    return this.#values[name];
  }

  set(name, value) {
    this.#values[name] = value;
    try {
      localStorage.setItem(PLACE, JSON.stringify(this.#values));
    } catch {
      // Storage is closed or full: the choice holds until the tab is closed.
    }
    this.dispatchEvent(new CustomEvent(name, { detail: value }));
  }
}
