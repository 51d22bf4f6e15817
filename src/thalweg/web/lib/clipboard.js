// Copying, and saying that it was done.

import { t } from "./words.js";

const SAID_MS = 1600;

/** Put text on the clipboard; the button that asked for it says how that went. */
export async function copyText(text, asking) {
  const done = await write(text);
  if (!asking) return;
  const before = asking.getAttribute("aria-label");
  const said = t(done ? "copied" : "not_copied");
  asking.dataset.said = said;
  asking.setAttribute("aria-label", said);
  setTimeout(() => {
    delete asking.dataset.said;
    asking.setAttribute("aria-label", before ?? "");
  }, SAID_MS);
}

async function write(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return writeBySelection(text);
  }
}

/** Where the clipboard's interface is missing: on an address that is neither loopback nor TLS. */
function writeBySelection(text) {
  const field = document.createElement("textarea");
  field.value = text;
  field.className = "out-of-sight";
  const focused = document.activeElement;
  document.body.append(field);
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  focused?.focus?.();
  return done;
}
