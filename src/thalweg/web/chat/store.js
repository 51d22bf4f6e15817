// Conversations in this browser: IndexedDB, or memory where the browser keeps nothing. The server stores none.

const NAME = "thalweg";
const VERSION = 1;

/** Opens the browser's store; one that forgets with the tab where that is closed to the page. */
export async function openStore() {
  try {
    return new Store(new Shelf(await openDatabase()));
  } catch {
    return new Store(new Memory());
  }
}

/**
 * What is kept. A conversation: `{id, title, created, updated, model, parameters, chosen}`. A message: `{id,
 * conversation, parent, role, at, …}`. A draft: `{id, text, images, files}`, by its conversation's id.
 */
export class Store {
  #shelf;

  constructor(shelf) {
    this.#shelf = shelf;
  }

  /** Whether what is kept outlives the tab. */
  get lasts() {
    return this.#shelf.lasts;
  }

  /** All conversations, the one used last first. */
  async conversations() {
    const found = await this.#shelf.all("conversations");
    return found.sort((one, other) => other.updated - one.updated);
  }

  conversation(id) {
    return this.#shelf.get("conversations", id);
  }

  messages(conversation) {
    return this.#shelf.all("messages", conversation);
  }

  /** Puts in whole records; a message of the same id is replaced. */
  put({ conversations = [], messages = [] }) {
    return this.#shelf.write((write) => {
      conversations.forEach((each) => write.put("conversations", each));
      messages.forEach((each) => write.put("messages", each));
    });
  }

  deleteMessages(ids) {
    return this.#shelf.write((write) => ids.forEach((id) => write.delete("messages", id)));
  }

  /** Deletes a conversation; returns what has to be put in again to undo that. */
  async deleteConversation(id) {
    const [conversation, messages] = await Promise.all([this.conversation(id), this.messages(id)]);
    await this.#shelf.write((write) => {
      write.delete("conversations", id);
      write.delete("drafts", id);
      messages.forEach((message) => write.delete("messages", message.id));
    });
    return { conversations: conversation ? [conversation] : [], messages };
  }

  draft(id) {
    return this.#shelf.get("drafts", id);
  }

  keepDraft(draft) {
    const empty = !draft.text && draft.images.length === 0 && draft.files.length === 0;
    return this.#shelf.write((write) => (empty ? write.delete("drafts", draft.id) : write.put("drafts", draft)));
  }

  /** Ids of the conversations in which the words stand, in the title or in what was said. */
  async search(words) {
    const needle = words.toLowerCase();
    const found = new Set();
    const holds = (text) => typeof text === "string" && text.toLowerCase().includes(needle);
    for (const each of await this.#shelf.all("conversations")) if (holds(each.title)) found.add(each.id);
    await this.#shelf.each("messages", (each) => {
      if (!found.has(each.conversation) && holds(each.text)) found.add(each.conversation);
    });
    return found;
  }
}

function openDatabase() {
  return new Promise((resolve, reject) => {
    const opening = indexedDB.open(NAME, VERSION);
    opening.onupgradeneeded = () => {
      const database = opening.result;
      database.createObjectStore("conversations", { keyPath: "id" });
      database.createObjectStore("drafts", { keyPath: "id" });
      database.createObjectStore("messages", { keyPath: "id" }).createIndex("conversation", "conversation");
    };
    opening.onsuccess = () => {
      // Another tab wants to change the form of the database: make way.
      opening.result.onversionchange = () => opening.result.close();
      resolve(opening.result);
    };
    opening.onerror = () => reject(opening.error);
    opening.onblocked = () => reject(new Error("blocked"));
  });
}

function settled(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/** IndexedDB. */
class Shelf {
  lasts = true;
  #database;

  constructor(database) {
    this.#database = database;
  }

  #read(name) {
    return this.#database.transaction(name, "readonly").objectStore(name);
  }

  get(name, id) {
    return settled(this.#read(name).get(id));
  }

  all(name, conversation) {
    const store = this.#read(name);
    return settled(conversation === undefined ? store.getAll() : store.index("conversation").getAll(conversation));
  }

  each(name, look) {
    return new Promise((resolve, reject) => {
      const walk = this.#read(name).openCursor();
      walk.onerror = () => reject(walk.error);
      walk.onsuccess = () => {
        if (!walk.result) return resolve();
        look(walk.result.value);
        walk.result.continue();
      };
    });
  }

  write(work) {
    return new Promise((resolve, reject) => {
      const writing = this.#database.transaction(["conversations", "messages", "drafts"], "readwrite");
      writing.oncomplete = () => resolve();
      writing.onerror = () => reject(writing.error);
      writing.onabort = () => reject(writing.error ?? new Error("aborted"));
      work({
        put: (name, record) => writing.objectStore(name).put(record),
        delete: (name, id) => writing.objectStore(name).delete(id),
      });
      // Else it is committed only when the requests have come back, and a page that is left before that loses them.
      writing.commit();
    });
  }
}

/** The same for a browser that keeps nothing. */
export class Memory {
  lasts = false;
  #records = { conversations: new Map(), messages: new Map(), drafts: new Map() };

  async get(name, id) {
    return this.#records[name].get(id);
  }

  async all(name, conversation) {
    const found = [...this.#records[name].values()];
    return conversation === undefined ? found : found.filter((each) => each.conversation === conversation);
  }

  async each(name, look) {
    this.#records[name].forEach((each) => look(each));
  }

  async write(work) {
    work({
      put: (name, record) => this.#records[name].set(record.id, structuredClone(record)),
      delete: (name, id) => this.#records[name].delete(id),
    });
  }
}
