// A conversation is a tree: to edit or to ask again grows a branch, and the old one stays. Messages know their parent;
// which branch is shown at a fork is the conversation's `chosen`: parent's id (or `root`) to child's id.
// No storage here.

const ROOT = "root";

/** The messages in the order in which they were made. */
function inOrder(messages) {
  return [...messages].sort((one, other) => one.at - other.at || (one.id < other.id ? -1 : 1));
}

/** The messages that answer or follow `parent` (an id, or `null` for the beginning), the oldest first. */
export function childrenOf(messages, parent) {
  return inOrder([...messages].filter((message) => message.parent === parent));
}

/** The branch that is shown, first message to last. */
export function pathOf(messages, chosen) {
  const children = new Map();
  for (const message of inOrder(messages)) {
    if (!children.has(message.parent)) children.set(message.parent, []);
    children.get(message.parent).push(message);
  }
  const path = [];
  for (let here = null; ; ) {
    const forks = children.get(here) ?? [];
    const next = forks.find((message) => message.id === chosen[here ?? ROOT]) ?? forks[forks.length - 1];
    if (!next || path.includes(next)) return path;
    path.push(next);
    here = next.id;
  }
}

/** `chosen` with the branch of this message shown at its fork. */
export function choose(chosen, message) {
  return { ...chosen, [message.parent ?? ROOT]: message.id };
}

/** The message, and all that hangs on it. */
export function subtree(messages, id) {
  const found = new Set([id]);
  for (const message of inOrder(messages)) if (found.has(message.parent)) found.add(message.id);
  return [...messages].filter((message) => found.has(message.id));
}

/** Which of its siblings a message is: `{at, of, before, after}`, `at` counted from 1. */
export function place(messages, message) {
  const siblings = childrenOf(messages, message.parent);
  const index = siblings.findIndex((each) => each.id === message.id);
  return {
    at: index + 1,
    of: siblings.length,
    before: siblings[index - 1] ?? null,
    after: siblings[index + 1] ?? null,
  };
}

/** A title out of what was asked first. */
export function titleOf(text) {
  const line = text.split("\n").find((each) => each.trim()) ?? "";
  const bare = line
    .replace(/[#*_`>|]+/gu, " ")
    .replace(/\s+/gu, " ")
    .trim();
  return [...bare].length > 60 ? `${[...bare].slice(0, 59).join("")}…` : bare;
}
