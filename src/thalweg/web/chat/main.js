// Puts the chat page together.

import { Gateway } from "../api/gateway.js";
import { download, fileName } from "../lib/download.js";
import { button, el, localise, parts as partsOf } from "../lib/dom.js";
import { Frames } from "../lib/frames.js";
import { Highlighter } from "../lib/highlight.js";
import { KeyRing } from "../lib/keyring.js";
import { Settings } from "../lib/settings.js";
import { browserLanguage, t, useLanguage } from "../lib/words.js";
import { Announcer } from "./announcer.js";
import { progressOf } from "./assistant-message.js";
import { Chat } from "./chat.js";
import { Composer } from "./composer.js";
import { KeyDialog, RenameDialog, SettingsDialog, ShortcutsDialog } from "./dialogs.js";
import { fromFile, toJson, toMarkdown } from "./files.js";
import { keepLastWords, takeLastWords } from "./last-words.js";
import { firstModel, groupModels, readProviders } from "./models.js";
import { Panel } from "./panel.js";
import { openPicker } from "./picker.js";
import { openMenu } from "./popover.js";
import { UNDER_WAY } from "./run.js";
import { StickyScroll } from "./scroll.js";
import { listenForShortcuts, SHORTCUTS, written } from "./shortcuts.js";
import { Sidebar } from "./sidebar.js";
import { openStore } from "./store.js";
import { Tabs } from "./tabs.js";
import { Thread } from "./thread.js";
import { Toasts } from "./toasts.js";
import { toolsOf } from "../api/request.js";
import { welcome } from "./welcome.js";

const TICK_MS = 100;
const AWAY_MS = 2500;

/** The page: what is seen, and who does what. */
class ChatPage {
  #parts = partsOf(document.documentElement);
  #settings = new Settings();
  #keys = new KeyRing();
  #gateway = new Gateway(this.#keys);
  #frames = new Frames();
  #highlighter = new Highlighter();
  #groups = [];
  #providers = [];
  #ticking = null;
  #away = null;
  #asking = false;

  async begin() {
    await useLanguage(this.#settings.get("language") || browserLanguage());
    localise(document);
    this.store = await openStore();
    this.#make();
    this.#label();
    this.#listen();
    await this.#openFromAddress();
    await Promise.all([this.listed(), this.#loadModels()]);
    if (!this.store.lasts) this.toasts.say(t("keeps_nothing"));
    document.documentElement.dataset.ready = "";
  }

  #make() {
    const parts = this.#parts;
    this.toasts = new Toasts(parts.toasts);
    this.announcer = new Announcer(parts.announcer, this.#settings);
    this.chat = new Chat({ store: this.store, gateway: this.#gateway, settings: this.#settings, page: this });
    this.chat.tabs = new Tabs({
      changed: (id) => this.chat.changedElsewhere(id),
      isMine: (id) => this.chat.isMine(id),
    });
    this.chat.askForKey = () => this.#askForKey();
    this.thread = new Thread(parts.thread, { chat: this.chat, highlighter: this.#highlighter });
    this.scroll = new StickyScroll(parts.scroller, parts.thread, (sticks) => (parts.jump.hidden = sticks));
    this.panel = new Panel(parts.panel, parts.openPanel, { changed: (parameters) => this.#setParameters(parameters) });
    this.composer = new Composer(parts, {
      send: (text, images, files) => this.#send(text, images, files),
      stop: () => this.chat.stop(),
      editLast: () => this.thread.lastAsked?.edit(),
      keepDraft: (draft) => this.#keepDraft(draft),
      keepLastWords: (text) => keepLastWords(this.chat.id, text),
      say: (text) => this.toasts.say(text),
    });
    this.sidebar = new Sidebar(parts, this.#settings, {
      open: (id) => this.#go(id),
      search: (words) => this.chat.search(words),
      menu: (conversation) => this.#menuOf(conversation),
      current: () => this.chat.conversation?.id ?? null,
      isRunning: (id) => this.chat.isRunning(id),
    });
    this.keyDialog = new KeyDialog();
    this.renameDialog = new RenameDialog();
    this.shortcutsDialog = new ShortcutsDialog(this.#settings, SHORTCUTS);
    this.settingsDialog = new SettingsDialog(this.#settings, {
      shortcuts: () => this.shortcutsDialog.open(),
      hasKey: () => Boolean(this.#keys.key),
      key: () => this.#turnKey(),
      import: (files) => this.#import(files),
      export: () => this.#exportAll(),
    });
  }

  #listen() {
    const parts = this.#parts;
    const newChat = () => this.#go(null);
    // The first comes before the browser breaks off what is under way, but not on every phone; the second comes after.
    addEventListener("beforeunload", () => this.chat.leave());
    addEventListener("pagehide", () => this.chat.leave());
    addEventListener("pageshow", () => this.chat.comeBack());
    parts.newChat.addEventListener("click", newChat);
    parts.newChatNarrow.addEventListener("click", newChat);
    parts.openSettings.addEventListener("click", () => {
      this.sidebar.closeDrawer();
      this.settingsDialog.open();
    });
    parts.pickModel.addEventListener("click", () => this.#pickModel());
    parts.openMenu.addEventListener("click", () =>
      openMenu(parts.openMenu, t("conversation_menu"), this.#menuOf(this.chat.conversation)),
    );
    parts.jump.addEventListener("click", () => this.scroll.stick());
    addEventListener("hashchange", () => this.#openFromAddress());
    this.#settings.addEventListener("theme", ({ detail }) => this.#theme(detail));
    this.#settings.addEventListener("language", ({ detail }) => this.#language(detail));
    listenForShortcuts(this.#settings, {
      new: newChat,
      search: () => this.sidebar.focusSearch(),
      side: () => this.sidebar.toggle(),
      write: () => this.composer.focus(),
      list: () => this.shortcutsDialog.open(),
      stop: () => this.chat.stop(),
    });
  }

  // Which conversation

  async #openFromAddress() {
    const wanted = location.hash.slice(1);
    if (wanted.includes("=")) return this.#openFromLink(new URLSearchParams(wanted));
    if (wanted && wanted === this.chat.conversation?.id) return;
    if (wanted && (await this.chat.open(wanted))) return;
    if (wanted) history.replaceState(null, "", location.pathname);
    this.chat.openNew();
  }

  /** `#model=…&prompt=…&system=…`: a link that prepares a conversation. Nothing is sent before a person does. */
  async #openFromLink(asked) {
    this.chat.openNew();
    if (asked.get("model")) this.chat.fresh.model = asked.get("model");
    if (asked.get("system")) this.chat.fresh.parameters.system = asked.get("system");
    history.replaceState(null, "", location.pathname);
    await this.opened();
    this.composer.fill({ text: asked.get("prompt") ?? "", images: [], files: [] });
  }

  #go(id) {
    this.composer.flush();
    history.pushState(null, "", id ? `#${id}` : location.pathname);
    this.#openFromAddress();
    this.sidebar.closeDrawer();
  }

  // What the chat tells (see `Page` in chat.js)

  async opened() {
    const { chat } = this;
    this.thread.clear();
    this.shown();
    this.scroll.stick();
    this.panel.fill(chat.parameters);
    this.#showModel();
    this.listed();
    this.composer.fill(null);
    if (!matchMedia("(pointer: coarse)").matches) this.composer.focus();
    const id = chat.id;
    const words = takeLastWords(id);
    const draft = await this.store.draft(id);
    // Whoever writes faster than the disk reads keeps what was written.
    if (id !== chat.id || !this.composer.isEmpty) return;
    if (!draft && !words) return;
    const found = { images: [], files: [], ...draft, text: words ?? draft.text };
    this.composer.fill(found);
    if (words) this.#keepDraft(found);
  }

  shown() {
    const { chat } = this;
    const path = chat.path;
    const empty = path.length === 0;
    if (!empty && this.#parts.thread.querySelector(".welcome")) this.#parts.thread.replaceChildren();
    this.thread.show(path, chat.messages);
    if (empty) this.#parts.thread.replaceChildren(welcome(this.#providers, (suggestion) => this.#take(suggestion)));
    this.#showTitle();
    this.#parts.openMenu.hidden = !chat.conversation;
    this.composer.busy = Boolean(chat.running);
    this.#tick();
  }

  changed(message) {
    if (message.state === "connecting") this.announcer.begin();
    if (message.state === "failed" && message.fault?.kind === "unauthorised") this.#askForKey();
    if (message.fault?.kind === "unreachable") this.#watchForReturn();
    const view = this.thread.view(message.id);
    if (!view || message.conversation !== this.chat.conversation?.id) return;
    this.#frames.flush(message.id);
    view.show(message, { place: view.place, results: view.results, last: view.last });
    this.composer.busy = Boolean(this.chat.running);
    this.#tick();
  }

  grown(message) {
    this.#frames.want(message.id, () => this.thread.view(message.id)?.grow());
    this.announcer.grow(() => message.text);
  }

  ended(message) {
    this.announcer.end(message.text, message.state);
    if (message.conversation === this.chat.conversation?.id) this.shown();
    this.listed();
  }

  async listed() {
    this.sidebar.show(await this.chat.conversations());
    this.#showTitle();
  }

  undoable(text, undo) {
    this.toasts.say(text, { text: t("undo"), click: undo });
  }

  busy() {
    this.toasts.say(t("busy"));
  }

  unkept() {
    this.toasts.say(t("not_kept"));
  }

  // Doing

  async #send(text, images, files) {
    this.scroll.stick();
    const sending = this.chat.send(text, images, files);
    if (this.chat.conversation) history.replaceState(null, "", `#${this.chat.conversation.id}`);
    await sending;
  }

  async #keepDraft({ text, images, files }) {
    try {
      await this.store.keepDraft({ id: this.chat.id, text, images, files });
    } catch {
      // The browser's storage is full or gone: the words stand in the field all the same.
    }
  }

  #take({ prompt, model, tools }) {
    this.chat.openNew();
    this.chat.fresh.model = model;
    if (tools) this.chat.fresh.parameters = { ...this.chat.fresh.parameters, exampleTools: true };
    this.#send(prompt, [], []);
    this.composer.focus();
  }

  #setParameters(parameters) {
    this.chat.setParameters(parameters);
    this.#showChips();
  }

  #pickModel() {
    openPicker(this.#parts.pickModel, {
      groups: this.#groups,
      providers: this.#providers,
      chosen: this.chat.model,
      choose: (model) => {
        this.chat.setModel(model);
        this.#showModel();
        this.composer.focus();
      },
    });
  }

  #menuOf(conversation) {
    return [
      { icon: "edit", text: t("rename"), click: () => this.#rename(conversation) },
      { icon: "save", text: t("export_markdown"), click: () => this.#export(conversation, "md") },
      { icon: "save", text: t("export_json"), click: () => this.#export(conversation, "json") },
      { icon: "bin", text: t("delete"), bad: true, click: () => this.#removeConversation(conversation.id) },
    ];
  }

  #rename(conversation) {
    this.renameDialog.ask(conversation.title, (title) => this.chat.rename(conversation, title));
  }

  async #removeConversation(id) {
    const open = this.chat.conversation?.id === id;
    await this.chat.removeConversation(id);
    if (open) history.replaceState(null, "", location.pathname);
  }

  // Files

  async #export(conversation, kind) {
    const [entry] = await this.chat.entries(conversation.id);
    if (kind === "json") return download(fileName(conversation.title, "json"), "application/json", toJson([entry]));
    const words = { you: t("you"), result: t("result"), untitled: t("untitled") };
    download(fileName(conversation.title, "md"), "text/markdown", toMarkdown(entry, words));
  }

  async #exportAll() {
    download(
      fileName(`thalweg-${new Date().toISOString().slice(0, 10)}`, "json"),
      "application/json",
      toJson(await this.chat.entries()),
    );
  }

  async #import(files) {
    const entries = [];
    for (const file of files) {
      try {
        entries.push(...fromFile(file.name, await file.text()));
      } catch {
        this.toasts.say(t("import_refused", { name: file.name }));
        return;
      }
    }
    if (entries.length === 0) return;
    const first = await this.chat.takeIn(entries);
    this.toasts.say(t("imported", { count: entries.length }));
    this.#go(first);
  }

  // The gateway

  async #loadModels() {
    try {
      const [models, providers] = await Promise.all([this.#gateway.models(), this.#gateway.providers()]);
      this.#providers = readProviders(providers);
      this.#groups = groupModels(models, this.#providers);
    } catch (failure) {
      if (failure.kind === "unauthorised") this.#askForKey();
      else if (failure.kind === "unreachable") this.#watchForReturn();
      else this.toasts.say(failure.message);
    }
    this.chat.firstModel = firstModel(this.#groups, this.#settings.get("model"));
    this.chat.fresh.model ||= this.chat.firstModel;
    this.#showModel();
    if (this.chat.path.length === 0) this.shown();
  }

  async #askForKey() {
    if (this.#asking) return;
    this.#asking = true;
    const key = await this.keyDialog.ask({ wrong: Boolean(this.#keys.key) });
    this.#asking = false;
    if (!key) return;
    this.#keys.key = key;
    await this.#loadModels();
    const last = this.chat.path.at(-1);
    if (last?.fault?.kind === "unauthorised" && this.#groups.length) this.chat.retry(last);
  }

  #turnKey() {
    if (!this.#keys.key) return this.#askForKey();
    this.#keys.key = "";
    this.#groups = [];
    this.#loadModels();
  }

  /** Nobody answers: say so, and look again and again until somebody does. */
  #watchForReturn() {
    if (this.#away) return;
    this.#parts.banner.hidden = false;
    this.#parts.banner.replaceChildren(el("span", { class: "pulse" }), el("span", { text: t("away") }));
    this.#away = setInterval(async () => {
      if (!(await this.#gateway.isThere())) return;
      clearInterval(this.#away);
      this.#away = null;
      this.#parts.banner.hidden = true;
      this.#loadModels();
    }, AWAY_MS);
  }

  // Showing

  #label() {
    this.#parts.newKeys.textContent = written("new");
    this.#parts.searchKeys.textContent = written("search");
    this.#parts.hint.textContent = t("hint");
  }

  #showTitle() {
    const title = this.chat.conversation?.title ?? "";
    const unseen = el("span", {
      class: "out-of-sight",
      text: t(this.chat.conversation ? "untitled" : "new_conversation"),
    });
    this.#parts.title.replaceChildren(title || unseen);
    document.title = title ? t("title_of", { title }) : t("brand");
  }

  #showModel() {
    const model = this.chat.model || "…";
    const slash = model.indexOf("/");
    const vendor = el("span", { class: "model-vendor", text: slash > 0 ? model.slice(0, slash + 1) : "" });
    this.#parts.modelName.replaceChildren(vendor, slash > 0 ? model.slice(slash + 1) : model);
    this.#parts.pickModel.setAttribute("aria-label", t("model_is", { model }));
    this.#showChips();
  }

  #showChips() {
    const { parameters } = this.chat;
    const tools = toolsOf(parameters).length;
    const chip = (icon, text) => button({ icon, text, class: "chip", click: () => this.panel.open() });
    this.#parts.chips.replaceChildren(
      ...[
        tools ? chip("tool", t("n_tools", { count: tools })) : null,
        parameters.system?.trim() ? chip("edit", t("has_system")) : null,
        parameters.effort ? chip("think", t("has_effort", { effort: t(`effort_${parameters.effort}`) })) : null,
      ].filter(Boolean),
    );
  }

  #tick() {
    const live = this.chat.messages.findLast((message) => UNDER_WAY.has(message.state));
    const now = performance.now();
    this.thread.tick(now);
    this.#parts.live.hidden = !live;
    this.#parts.liveSays.textContent = live ? progressOf(live, this.chat.begunOf(live), now) : "";
    if (live) this.#ticking ??= setInterval(() => this.#tick(), TICK_MS);
    else if (this.#ticking) {
      clearInterval(this.#ticking);
      this.#ticking = null;
    }
  }

  #theme(theme) {
    const { dataset } = document.documentElement;
    if (theme === "system") delete dataset.theme;
    else dataset.theme = theme;
  }

  async #language(language) {
    await useLanguage(language || browserLanguage());
    localise(document);
    this.#label();
    this.panel.relabel();
    this.thread.clear();
    this.shown();
    this.#showModel();
    this.listed();
  }
}

new ChatPage().begin();
