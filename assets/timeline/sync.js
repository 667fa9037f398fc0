/**
 * Brings operations to the server and news back. An operation stays in the queue, and in the browser's own storage,
 * until the server has answered it; it is sent again until then, and the server applies an id once.
 */
const PAUSE = 1000;
const BATCH = 500;
const LETTERS = 4e6;        // of operations sent at once; the server takes 16 MiB

export class Sync {
  #timer = null;
  #busy = false;
  #stopped = false;
  #kept = new Map();
  #number = 0;
  #full = "";

  /**
   * url: the data set's labels route; labels: Labels; storage: as localStorage; onNews(refused): after an answer;
   * onStatus(): when `status` changed.
   */
  constructor({ url, labels, who, storage, key, onNews, onStatus, fetch = globalThis.fetch.bind(globalThis) }) {
    Object.assign(this, { url, labels, who, storage, key, onNews, onStatus, fetch });
    this.own = `${key}.${Math.random().toString(36).slice(2)}`;
    this.#adopt();
    this.status = { state: labels.pending.length ? "saving" : "saved", at: null, reason: "" };
  }

  start() {
    this.#next(0);
  }

  stop() {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  push(operation) {
    this.#keep(operation);
    this.labels.push(operation);
    this.#say("saving", "");
    this.#next(0);
  }

  /** Operations that a tab left behind when it was closed or reloaded before they were answered. */
  #adopt() {
    const left = Object.keys(this.storage).filter((name) => name.startsWith(`${this.key}.`)
      && /^\w+\.\d+$/.test(name.slice(this.key.length + 1))).sort();
    for (const name of left) {
      const operation = JSON.parse(this.storage.getItem(name));
      this.storage.removeItem(name);
      this.#keep(operation);
      this.labels.push(operation);
    }
  }

  /** One entry an operation, so that a key takes no longer when many wait. */
  #keep(operation) {
    const name = `${this.own}.${`${this.#number++}`.padStart(9, "0")}`;
    this.#kept.set(operation.id, name);
    try {
      this.storage.setItem(name, JSON.stringify(operation));
    } catch {
      this.#full = ". The browser's storage is full too: keep this tab open";
    }
  }

  #forget(ids) {
    for (const id of ids) {
      this.storage.removeItem(this.#kept.get(id));
      this.#kept.delete(id);
    }
    if (!this.labels.pending.length) this.#full = "";
  }

  #say(state, reason, at = this.status.at) {
    this.status = { state, reason, at };
    this.onStatus();
  }

  #next(delay) {
    if (this.#stopped) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#exchange(), delay);
  }

  async #exchange() {
    if (this.#busy) return;
    this.#busy = true;
    const { video, seq, last, pending } = this.labels;
    const sent = firstOf(pending);
    let pause = PAUSE;
    try {
      const answer = await (sent.length ? this.#post(video, seq, last, sent) : this.#get(video, seq, last));
      if (this.#stopped) return;
      const refused = answer.acks ? this.labels.acknowledge(answer.acks) : [];
      this.#forget(sent.map(({ id }) => id));
      if (video === this.labels.video && seq === this.labels.seq) {
        if (answer.reload) this.onNews({ refused, reload: true });
        else {
          this.labels.receive(answer);
          const notes = answer.acks?.filter((ack) => ack.note);
          if (answer.operations || refused.length) this.onNews({ refused, notes });
        }
      }
      if (this.labels.pending.length) pause = 0;
      else if (sent.length) this.#say("saved", "", new Date());
      else if (this.status.state !== "saved") this.#say("saved", "");
    } catch (error) {
      this.#say("waiting", (error.sentence ?? "no connection") + this.#full);
    } finally {
      this.#busy = false;
      this.#next(pause);
    }
  }

  #post(video, since, last, operations) {
    const body = JSON.stringify({ who: this.who(), video, since, last, operations });
    return this.#ask(this.url, { method: "POST", headers: { "Content-Type": "application/json" }, body });
  }

  #get(video, since, last) {
    return this.#ask(`${this.url}/${encodeURIComponent(video)}?${new URLSearchParams({ since, last })}`, {});
  }

  async #ask(url, options) {
    const response = await this.fetch(url, { ...options, signal: AbortSignal.timeout(10000) });
    if (response.ok) return response.json();
    const text = await response.text();
    throw Object.assign(new Error(text), { sentence: text.split("\n")[0].slice(0, 300) });
  }
}

/** As many of the operations as go into one request: at least one. */
function firstOf(operations) {
  let letters = 0;
  const end = operations.slice(0, BATCH).findIndex((operation, index) =>
    (letters += JSON.stringify(operation).length) > LETTERS && index > 0);
  return operations.slice(0, end < 0 ? BATCH : end);
}
