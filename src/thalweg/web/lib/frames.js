// Work on the page, gathered: however many pieces of an answer arrive, the page is written to once a frame.
// Each time is measured, for anybody with a PerformanceObserver or `performance.getEntriesByName("render")`.

const HIDDEN_MS = 250;
/** A page out of sight gets no frames; it is kept up to date all the same. */

const NAME = "render";
const MOST_KEPT = 30_000;

/** Gathers work by its owner: several wishes of one owner are one. One for the page. */
export class Frames {
  #wanted = new Map();
  #asked = false;
  #kept = 0;

  /** Have `work` done with the next frame. */
  want(owner, work) {
    this.#wanted.set(owner, work);
    if (this.#asked) return;
    this.#asked = true;
    if (document.hidden) setTimeout(() => this.#run(), HIDDEN_MS);
    else requestAnimationFrame(() => this.#run());
  }

  /** Do at once what the owner waits for. */
  flush(owner) {
    const work = this.#wanted.get(owner);
    this.#wanted.delete(owner);
    work?.();
  }

  #run() {
    this.#asked = false;
    const works = [...this.#wanted.values()];
    this.#wanted.clear();
    if (works.length === 0) return;
    const start = performance.now();
    works.forEach((work) => work());
    this.#measure(start);
  }

  #measure(start) {
    // The browser keeps every measure until it is told not to.
    if (++this.#kept > MOST_KEPT) {
      performance.clearMeasures(NAME);
      this.#kept = 0;
    }
    performance.measure(NAME, { start, end: performance.now() });
  }
}
