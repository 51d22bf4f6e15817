// Keeps the end of a growing text in sight, and lets go as soon as a person scrolls up.
//
// The page is moved in a ResizeObserver, so after layout and before paint: nothing is laid out twice, nothing jumps.

const NEAR_PX = 40;

/** One scrolling box with one growing inside. */
export class StickyScroll {
  #box;
  #sticks = true;
  #top = 0;
  #changed;

  /**
   * @param {HTMLElement} box
   * @param {HTMLElement} inside
   * @param {(sticks: boolean) => void} changed told when it takes hold or lets go
   */
  constructor(box, inside, changed) {
    this.#box = box;
    this.#changed = changed;
    box.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    box.addEventListener("wheel", (event) => event.deltaY < 0 && this.#canScroll() && this.#set(false), {
      passive: true,
    });
    const sizes = new ResizeObserver(() => this.#sticks && this.#follow());
    sizes.observe(inside);
    sizes.observe(box);
  }

  get sticks() {
    return this.#sticks;
  }

  /** Go to the end and stay there. */
  stick() {
    this.#set(true);
    this.#follow();
  }

  /** Stay where it is, whatever grows. */
  release() {
    this.#set(false);
  }

  #follow() {
    this.#box.scrollTop = this.#box.scrollHeight;
    this.#top = this.#box.scrollTop;
  }

  #canScroll() {
    return this.#box.scrollHeight > this.#box.clientHeight + NEAR_PX;
  }

  #scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.#box;
    const below = scrollHeight - clientHeight - scrollTop;
    if (below < NEAR_PX && scrollTop >= this.#top) this.#set(true);
    else if (scrollTop < this.#top - 1 && below > 2) this.#set(false);
    // Where it was put by `#follow` it stays the end, however much has come before the browser told of that move.
    else if (scrollTop !== this.#top && below > clientHeight) this.#set(false);
    this.#top = scrollTop;
  }

  #set(sticks) {
    if (sticks === this.#sticks) return;
    this.#sticks = sticks;
    this.#changed(sticks);
  }
}
