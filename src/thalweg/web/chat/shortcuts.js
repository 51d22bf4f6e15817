// Keys that work anywhere on the page. They can be switched off; Escape, which stops an answer, stays.

const MAC = /Mac|iPhone|iPad/.test(navigator.platform);
const CONTROL = MAC ? "⌘" : "Ctrl";
const SHIFT = MAC ? "⇧" : "Shift";

/** What is listed; the deeds belong to the page. */
export const SHORTCUTS = [
  { name: "new", words: "key_new", keys: [SHIFT, CONTROL, "O"] },
  { name: "search", words: "key_search", keys: [CONTROL, "K"] },
  { name: "side", words: "key_side", keys: [CONTROL, "B"] },
  { name: "write", words: "key_write", keys: ["/"] },
  { name: "stop", words: "key_stop", keys: ["Esc"] },
  { name: "send", words: "key_send", keys: ["Enter"] },
  { name: "line", words: "key_line", keys: [SHIFT, "Enter"] },
  { name: "edit", words: "key_edit", keys: ["↑"] },
  { name: "list", words: "key_list", keys: ["?"] },
];

/** How a shortcut is written: `Ctrl K`. */
export function written(name) {
  return SHORTCUTS.find((each) => each.name === name).keys.join(" ");
}

function isTyping(target) {
  return target instanceof Element && target.closest("input, textarea, select, [contenteditable]") !== null;
}

const WITH_CONTROL = { k: "search", b: "side" };
const BARE = { "/": "write", "?": "list" };

function nameOf(event) {
  const key = event.key.toLowerCase();
  const control = MAC ? event.metaKey : event.ctrlKey;
  if (control && event.shiftKey && key === "o") return "new";
  if (control && !event.shiftKey && !event.altKey) return WITH_CONTROL[key];
  const bare = !event.ctrlKey && !event.metaKey && !event.altKey && !isTyping(event.target);
  return bare ? BARE[key] : undefined;
}

/**
 * Listen on the page.
 * @param {import("../lib/settings.js").Settings} settings
 * @param {Record<string, () => void>} deeds by name; `stop` returns whether there was anything to stop
 */
export function listenForShortcuts(settings, deeds) {
  document.addEventListener("keydown", (event) => {
    if (event.isComposing || event.defaultPrevented) return;
    if (event.key === "Escape") {
      // What lies over the page is closed by the browser, and that is all that this press means.
      if (!document.querySelector(":popover-open, dialog[open]") && deeds.stop()) event.preventDefault();
      return;
    }
    const deed = settings.get("shortcuts") ? deeds[nameOf(event)] : undefined;
    if (!deed) return;
    event.preventDefault();
    deed();
  });
}
