// The messages of a conversation on the page, in the branch that is shown. A message that was there before keeps its
// elements; only what comes after the first difference is made anew.

import { AssistantView } from "./assistant-message.js";
import { place } from "./tree.js";
import { UserView } from "./user-message.js";

const VIEWS = { user: UserView, assistant: AssistantView };

/** The list of messages. */
export class Thread {
  #root;
  #context;
  #views = [];

  constructor(root, context) {
    this.#root = root;
    this.#context = context;
  }

  /** Show a path of messages out of all of them. */
  show(path, messages) {
    const seen = path.filter((message) => VIEWS[message.role]);
    const results = new Map(
      path.filter((message) => message.role === "tool").map((message) => [message.callId, message.text]),
    );
    const kept = this.#views.findIndex((view, at) => view.message.id !== seen[at]?.id);
    if (kept >= 0) this.#views.splice(kept).forEach((view) => view.leave());
    seen.forEach((message, at) => {
      if (!this.#views[at]) this.#add(message);
      this.#views[at].show(message, {
        place: place(messages, message),
        results,
        last: message === path[path.length - 1],
      });
    });
  }

  /** Take everything away and put it up again, for instance in another language. */
  clear() {
    this.#views.forEach((view) => view.leave());
    this.#views = [];
    this.#root.replaceChildren();
  }

  /** The view of a message, where it is shown. */
  view(id) {
    return this.#views.find((view) => view.message.id === id) ?? null;
  }

  /** The last of the person's messages. */
  get lastAsked() {
    return this.#views.findLast((view) => view.message.role === "user") ?? null;
  }

  tick(now) {
    this.#views.forEach((view) => view.tick(now));
  }

  #add(message) {
    const view = new VIEWS[message.role](message, this.#context);
    this.#views.push(view);
    this.#root.append(view.root);
  }
}
