// Which addresses in an answer may be followed, and which pictures shown. An answer is foreign text.

const SAFE = new Set(["http:", "https:", "mailto:"]);
const INLINE_PICTURE = /^data:image\/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/=\s]+$/;

/** The address if it is whole and of a scheme that cannot run anything, else `null`. */
export function safeAddress(text) {
  try {
    const url = new URL(text);
    return SAFE.has(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}

/** Whether the address holds a picture itself, so that nothing is fetched to show it. */
export function isInlinePicture(text) {
  return INLINE_PICTURE.test(text);
}
