// Names for things made in the browser. `crypto.randomUUID` is not there on plain HTTP away from loopback.

/** 96 random bits behind the time, in letters and digits. */
export function newId() {
  const random = crypto.getRandomValues(new Uint8Array(12));
  return Date.now().toString(36) + [...random].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
