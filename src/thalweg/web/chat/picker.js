// Choosing a model: a list by provider, a search, and any name at all.

import { el, icon } from "../lib/dom.js";
import { t } from "../lib/words.js";
import { searchModels, withoutKey } from "./models.js";
import { closePopover, openPopover } from "./popover.js";

/**
 * Open the picker beside its button.
 * @param {HTMLElement} anchor
 * @param {object} what
 * @param {import("./models.js").Group[]} what.groups
 * @param {import("./models.js").Provider[]} what.providers
 * @param {string} what.chosen
 * @param {(model: string) => void} what.choose
 */
export function openPicker(anchor, what) {
  const picker = new Picker(what);
  if (!openPopover(anchor, picker.root, { label: t("pick_model") })) return;
  picker.begin();
}

/** A combobox with its list, as the ARIA authoring practices have it. */
class Picker {
  #what;
  #input;
  #list;
  #options = [];
  #active = -1;

  constructor(what) {
    this.#what = what;
    this.#list = el("div", { class: "picker-list", id: "picker-list", role: "listbox", "aria-label": t("models") });
    this.#input = el("input", {
      type: "text",
      role: "combobox",
      autocomplete: "off",
      spellcheck: "false",
      autocapitalize: "off",
      "aria-expanded": "true",
      "aria-controls": "picker-list",
      "aria-autocomplete": "list",
      "aria-label": t("search_models"),
      placeholder: t("search_models"),
      on: { input: () => this.#fill(), keydown: (event) => this.#key(event) },
    });
    this.root = el(
      "div",
      { class: "picker" },
      el("label", { class: "picker-search" }, icon("search"), this.#input),
      this.#list,
    );
    this.#fill();
  }

  begin() {
    this.#input.focus();
    this.#options[this.#active]?.node.scrollIntoView({ block: "nearest" });
  }

  #fill() {
    const typed = this.#input.value.trim();
    const groups = searchModels(this.#what.groups, typed);
    this.#options = [];
    const rows = groups.flatMap((group) => this.#group(group));
    const known = this.#what.groups.some((group) => group.models.includes(typed));
    if (typed && !known) rows.push(this.#option(typed, t("any_name")));
    rows.push(...this.#closed(typed));
    if (rows.length === 0) rows.push(el("div", { class: "picker-nothing", text: t("no_models") }));
    this.#list.replaceChildren(...rows);
    const chosen = this.#options.findIndex(({ name }) => name === this.#what.chosen);
    this.#activate(typed || chosen < 0 ? 0 : chosen);
  }

  #group(group) {
    const title = group.title || (group.provider === "sim" ? t("simulator") : group.provider);
    const heading = el("div", { class: "picker-group", role: "presentation", text: title });
    return [heading, ...group.models.map((model) => this.#option(model))];
  }

  #option(name, note = "") {
    const chosen = name === this.#what.chosen;
    const at = this.#options.length;
    const node = el(
      "div",
      {
        class: "picker-option",
        role: "option",
        id: `picker-${at}`,
        "aria-selected": String(chosen),
        on: { click: () => this.#choose(name), pointermove: () => this.#activate(at) },
      },
      el("span", { class: "picker-name", text: name }),
      note ? el("span", { class: "picker-note", text: note }) : null,
      chosen ? icon("check") : null,
    );
    this.#options.push({ name, node });
    return node;
  }

  /** Providers that lack something, with what it is. */
  #closed(typed) {
    const without = withoutKey(this.#what.providers, typed);
    if (without.length === 0) return [];
    return [
      el("div", { class: "picker-group", role: "presentation", text: t("without_key") }),
      ...without.map((provider) =>
        el(
          "div",
          { class: "picker-option", role: "option", "aria-disabled": "true", "aria-selected": "false" },
          el("span", { class: "picker-name", text: provider.title }),
          el("span", { class: "picker-note" }, el("code", { text: provider.variables[0] })),
        ),
      ),
    ];
  }

  #activate(at) {
    this.#options[this.#active]?.node.classList.remove("active");
    this.#active = this.#options.length ? Math.min(Math.max(at, 0), this.#options.length - 1) : -1;
    const option = this.#options[this.#active];
    option?.node.classList.add("active");
    if (option) this.#input.setAttribute("aria-activedescendant", option.node.id);
    else this.#input.removeAttribute("aria-activedescendant");
  }

  #key(event) {
    if (event.isComposing) return;
    const moves = { ArrowDown: 1, ArrowUp: -1 };
    if (moves[event.key]) {
      event.preventDefault();
      this.#activate((this.#active + moves[event.key] + this.#options.length) % this.#options.length);
      this.#options[this.#active]?.node.scrollIntoView({ block: "nearest" });
    } else if (event.key === "Enter" && this.#options[this.#active]) {
      event.preventDefault();
      this.#choose(this.#options[this.#active].name);
    }
  }

  #choose(name) {
    closePopover();
    this.#what.choose(name);
  }
}
