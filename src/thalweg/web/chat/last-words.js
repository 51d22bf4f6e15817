// What was typed in the last moment before the page was left. The database is not fast enough then; this is,
// for a text.

const PLACE = "thalweg.draft";

/** Keep what was typed in a conversation until the page is back. */
export function keepLastWords(id, text) {
  try {
    sessionStorage.setItem(PLACE, JSON.stringify({ id, text }));
  } catch {
    // Storage is closed or full: a quarter of a second of typing is lost.
  }
}

/** What was typed last in this conversation, once; `null` where there is nothing newer than the draft. */
export function takeLastWords(id) {
  try {
    const kept = JSON.parse(sessionStorage.getItem(PLACE) ?? "null");
    if (kept?.id !== id) return null;
    sessionStorage.removeItem(PLACE);
    return typeof kept.text === "string" ? kept.text : null;
  } catch {
    return null;
  }
}
