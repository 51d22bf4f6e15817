// The gateway's key, for as long as the tab lives. Never in a URL, never in localStorage.

const PLACE = "thalweg.key";

/** One key, or none. */
export class KeyRing {
  #key = read();

  get key() {
    return this.#key;
  }

  set key(value) {
    this.#key = value;
    try {
      if (value) sessionStorage.setItem(PLACE, value);
      else sessionStorage.removeItem(PLACE);
    } catch {
      // Storage is closed: the key holds until the page is left.
    }
  }
}

function read() {
  try {
    return sessionStorage.getItem(PLACE) ?? "";
  } catch {
    return "";
  }
}
