// The parameters of a conversation: instructions, sampling, effort, tools.

import { parts as partsOf, stamp } from "../lib/dom.js";
import { fixed } from "../lib/format.js";
import { t } from "../lib/words.js";
import { readTools } from "../api/request.js";

/** Whether anything is set that a model does not do by itself. */
export function isSet(parameters) {
  return Object.values(parameters).some(
    (value) => value !== undefined && value !== null && value !== "" && value !== false,
  );
}

/** The panel at the side. One for the page. */
export class Panel {
  #root;
  #parts = null;
  #opener;
  #acts;
  #values = {};

  /**
   * @param {HTMLElement} root
   * @param {HTMLElement} opener its button
   * @param {{changed: (parameters: object) => void}} acts
   */
  constructor(root, opener, acts) {
    this.#root = root;
    this.#opener = opener;
    this.#acts = acts;
    opener.addEventListener("click", () => this.toggle());
    root.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.stopPropagation();
      this.close();
    });
  }

  /** Show these parameters. */
  fill(parameters) {
    this.#values = { ...parameters };
    if (!this.#root.hidden) this.#render();
    this.#mark();
  }

  toggle() {
    if (this.#root.hidden) this.open();
    else this.close();
  }

  open() {
    this.#root.hidden = false;
    this.#opener.setAttribute("aria-expanded", "true");
    this.#render();
    this.#parts.system.focus();
  }

  close() {
    if (this.#root.hidden) return;
    this.#root.hidden = true;
    this.#opener.setAttribute("aria-expanded", "false");
    this.#opener.focus();
  }

  /** Put it up again in another language. */
  relabel() {
    if (!this.#root.hidden) this.#render();
  }

  #render() {
    const { root } = stamp("panel-template");
    this.#root.replaceChildren(root);
    this.#parts = partsOf(root);
    const { parts } = { parts: this.#parts };
    parts.close.addEventListener("click", () => this.close());
    this.#text(parts.system, "system");
    this.#temperature(parts);
    this.#number(parts.maxTokens, "maxTokens");
    parts.effort.value = this.#values.effort ?? "";
    parts.effort.addEventListener("change", () => this.#set("effort", parts.effort.value || undefined));
    parts.exampleTools.checked = Boolean(this.#values.exampleTools);
    parts.exampleTools.addEventListener("change", () =>
      this.#set("exampleTools", parts.exampleTools.checked || undefined),
    );
    this.#text(parts.tools, "tools");
    parts.tools.addEventListener("input", () => this.#checkTools());
    this.#checkTools();
  }

  #text(field, name) {
    field.value = this.#values[name] ?? "";
    field.addEventListener("input", () => this.#set(name, field.value || undefined));
  }

  #number(field, name) {
    field.value = this.#values[name] ?? "";
    field.addEventListener("input", () => {
      const value = Number.parseInt(field.value, 10);
      this.#set(name, value > 0 ? value : undefined);
    });
  }

  #temperature(parts) {
    const say = () => {
      const value = this.#values.temperature;
      parts.temperatureSays.textContent = value === undefined ? t("model_default") : fixed(value, 1);
      parts.temperature.value = value ?? 1;
      parts.temperature.setAttribute("aria-valuetext", parts.temperatureSays.textContent);
      parts.temperatureReset.disabled = value === undefined;
    };
    parts.temperature.addEventListener("input", () => {
      this.#set("temperature", Number.parseFloat(parts.temperature.value));
      say();
    });
    parts.temperatureReset.addEventListener("click", () => {
      this.#set("temperature", undefined);
      say();
    });
    say();
  }

  #checkTools() {
    const text = this.#parts.tools.value.trim();
    const problem = text ? readTools(text).problem : undefined;
    this.#parts.toolsProblem.hidden = !problem;
    this.#parts.toolsProblem.textContent = problem ? t(problem) : "";
    this.#parts.tools.setAttribute("aria-invalid", String(Boolean(problem)));
  }

  #set(name, value) {
    if (value === undefined) delete this.#values[name];
    else this.#values[name] = value;
    this.#mark();
    this.#acts.changed({ ...this.#values });
  }

  #mark() {
    this.#opener.toggleAttribute("data-set", isSet(this.#values));
  }
}
