// The conversations at the side: by age, with a search, and what can be done with each.

import { button, el } from "../lib/dom.js";
import { age } from "../lib/format.js";
import { t } from "../lib/words.js";
import { openMenu } from "./popover.js";

const AGES = { today: "age_today", yesterday: "age_yesterday", week: "age_week", earlier: "age_earlier" };
const SEARCH_MS = 120;
const DRAWER = matchMedia("(max-width: 47.99rem)");

/** The side bar. One for the page. */
export class Sidebar {
  #parts;
  #acts;
  #settings;
  #conversations = [];
  #found = null;
  #searchTimer = null;
  /** What is shown, to leave it alone where nothing has changed. */
  #shown = "";

  /**
   * @param {Record<string, HTMLElement>} parts the page's
   * @param {import("../lib/settings.js").Settings} settings
   * @param {object} acts
   * @param {(id: string) => void} acts.open
   * @param {(words: string) => Promise<Set<string>>} acts.search
   * @param {(conversation: object) => object[]} acts.menu what can be done with a conversation
   * @param {() => string | null} acts.current
   * @param {(id: string) => boolean} acts.isRunning
   */
  constructor(parts, settings, acts) {
    this.#parts = parts;
    this.#settings = settings;
    this.#acts = acts;
    parts.closeSide.addEventListener("click", () => this.toggle());
    parts.openSide.addEventListener("click", () => this.toggle());
    parts.scrim.addEventListener("click", () => this.closeDrawer());
    parts.search.addEventListener("input", () => this.#searchSoon());
    parts.search.addEventListener("keydown", (event) => this.#searchKey(event));
    parts.side.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !DRAWER.matches) return;
      event.stopPropagation();
      this.closeDrawer();
    });
    DRAWER.addEventListener("change", () => this.closeDrawer());
  }

  /** Show these conversations, the one used last first. */
  show(conversations) {
    this.#conversations = conversations;
    this.render();
  }

  render() {
    const conversations = this.#found
      ? this.#conversations.filter(({ id }) => this.#found.has(id))
      : this.#conversations;
    const groups = grouped(conversations, Date.now());
    const shown = JSON.stringify([
      t("search"),
      this.#acts.current(),
      [...groups].map(([when, group]) => [when, group.map((each) => this.#look(each))]),
    ]);
    if (shown === this.#shown && conversations.length > 0) return;
    this.#shown = shown;
    const rows = conversations.length
      ? [...groups].flatMap(([when, group]) => this.#group(when, group))
      : [this.#nothing()];
    const focused = this.#parts.list.contains(document.activeElement)
      ? document.activeElement.closest("[data-id]")?.dataset.id
      : null;
    this.#parts.list.replaceChildren(...rows);
    if (focused) this.#parts.list.querySelector(`[data-id="${CSS.escape(focused)}"] a`)?.focus();
  }

  #look({ id, title }) {
    return [id, title, this.#acts.isRunning(id)];
  }

  #nothing() {
    return el("p", { class: "side-nothing", text: t(this.#found ? "nothing_found" : "no_conversations") });
  }

  #group(when, group) {
    const heading = el("h2", { class: "side-heading", id: `side-${when}`, text: t(AGES[when]) });
    return [
      heading,
      el("ul", { class: "side-items", "aria-labelledby": heading.id }, ...group.map((each) => this.#item(each))),
    ];
  }

  toggle() {
    const root = document.documentElement;
    if (DRAWER.matches) {
      const opens = root.dataset.drawer !== "open";
      if (opens) this.#openDrawer();
      else this.closeDrawer();
      return;
    }
    const closes = root.dataset.sidebar !== "closed";
    if (closes) root.dataset.sidebar = "closed";
    else delete root.dataset.sidebar;
    this.#settings.set("sidebar", closes ? "closed" : "open");
    (closes ? this.#parts.openSide : this.#parts.closeSide).focus();
  }

  /** On a narrow page, put the drawer away. */
  closeDrawer() {
    const { dataset } = document.documentElement;
    if (dataset.drawer !== "open") return;
    delete dataset.drawer;
    this.#parts.main.inert = false;
    this.#parts.openSide.focus();
  }

  /** Open the side bar where it is closed, and go to its search. */
  focusSearch() {
    if (DRAWER.matches) this.#openDrawer();
    else if (document.documentElement.dataset.sidebar === "closed") this.toggle();
    this.#parts.search.focus();
    this.#parts.search.select();
  }

  #openDrawer() {
    document.documentElement.dataset.drawer = "open";
    this.#parts.main.inert = true;
    this.#parts.newChat.focus();
  }

  #item(conversation) {
    const { id, title } = conversation;
    const name = title || t("untitled");
    const current = id === this.#acts.current();
    const link = el("a", {
      class: "side-open",
      href: `#${id}`,
      title: name,
      dir: "auto",
      text: name,
      "aria-current": current ? "page" : null,
      on: {
        click: (event) => {
          if (event.ctrlKey || event.metaKey || event.shiftKey) return;
          event.preventDefault();
          this.#acts.open(id);
          this.closeDrawer();
        },
      },
    });
    const more = button({
      icon: "more",
      label: t("menu_of", { name }),
      class: "quiet small",
      "aria-haspopup": "menu",
      "aria-expanded": "false",
      click: () => openMenu(more, t("menu_of", { name }), this.#acts.menu(conversation)),
    });
    const classes = ["side-item", current ? "current" : "", this.#acts.isRunning(id) ? "running" : ""];
    return el("li", { class: classes.filter(Boolean).join(" "), data: { id } }, link, more);
  }

  #searchSoon() {
    clearTimeout(this.#searchTimer);
    this.#searchTimer = setTimeout(async () => {
      const words = this.#parts.search.value.trim();
      this.#found = words ? await this.#acts.search(words) : null;
      if (words === this.#parts.search.value.trim()) this.render();
    }, SEARCH_MS);
  }

  #searchKey(event) {
    if (event.key === "Escape" && this.#parts.search.value) {
      event.stopPropagation();
      this.#parts.search.value = "";
      this.#searchSoon();
    } else if (event.key === "ArrowDown" || event.key === "Enter") {
      event.preventDefault();
      this.#parts.list.querySelector("a")?.focus();
    }
  }
}

function grouped(shown, now) {
  const groups = new Map();
  for (const each of shown) {
    const when = age(each.updated, now);
    groups.set(when, [...(groups.get(when) ?? []), each]);
  }
  return groups;
}
