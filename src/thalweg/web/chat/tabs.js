// Other tabs of the same page: they are told what was changed, and asked whose a running answer is.

const PATIENCE_MS = 300;

/** The other tabs. Where the browser has no way to them, nobody answers. */
export class Tabs {
  #channel = globalThis.BroadcastChannel ? new BroadcastChannel("thalweg") : null;
  #waiting = new Map();

  /**
   * @param {object} ears
   * @param {(id: string | null) => void} ears.changed a conversation was changed elsewhere, or came, or went
   * @param {(id: string) => boolean} ears.isMine whether this tab makes that answer
   */
  constructor({ changed, isMine }) {
    this.#channel?.addEventListener("message", ({ data }) => {
      if (data.type === "changed") changed(data.conversation);
      else if (data.type === "whose" && isMine(data.message))
        this.#channel.postMessage({ type: "mine", message: data.message });
      else if (data.type === "mine") this.#waiting.get(data.message)?.(true);
    });
  }

  /** Tell that a conversation was changed. */
  tell(conversation) {
    this.#channel?.postMessage({ type: "changed", conversation });
  }

  /** Whether another tab makes this answer just now. */
  async isElsewhere(message) {
    if (!this.#channel) return false;
    const answer = new Promise((resolve) => {
      this.#waiting.set(message, resolve);
      setTimeout(() => resolve(false), PATIENCE_MS);
    });
    this.#channel.postMessage({ type: "whose", message });
    const elsewhere = await answer;
    this.#waiting.delete(message);
    return elsewhere;
  }
}
