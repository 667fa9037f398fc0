/**
 * Brings operations to the server and news back. An operation stays in the queue, and in the browser's own storage,
 * until the server has answered it; it is sent again until then, and the server applies an id once.
 */
const PAUSE = 1000;
const BATCH = 500;

export class Sync {
  #timer = null;
  #busy = false;
  #stopped = false;

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
    this.labels.push(operation);
    this.#keep();
    this.#say("saving", "");
    this.#next(0);
  }

  /** Operations that a tab left behind when it was closed or reloaded before they were answered. */
  #adopt() {
    const left = Object.keys(this.storage).filter((name) => name.startsWith(`${this.key}.`)).sort();
    for (const name of left) {
      for (const operation of JSON.parse(this.storage.getItem(name))) this.labels.push(operation);
    }
    this.#keep();
    for (const name of left) this.storage.removeItem(name);
  }

  #keep() {
    if (this.labels.pending.length) this.storage.setItem(this.own, JSON.stringify(this.labels.pending));
    else this.storage.removeItem(this.own);
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
    const { video, seq, pending } = this.labels;
    const sent = pending.slice(0, BATCH);
    let pause = PAUSE;
    try {
      const answer = await (sent.length ? this.#post(video, seq, sent) : this.#get(video, seq));
      if (this.#stopped) return;
      const refused = answer.acks ? this.labels.acknowledge(answer.acks) : [];
      this.#keep();
      if (video === this.labels.video && seq === this.labels.seq) {
        if (answer.seq < seq) this.onNews({ refused, reload: true });
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
      this.#say("waiting", error.sentence ?? "no connection");
    } finally {
      this.#busy = false;
      this.#next(pause);
    }
  }

  #post(video, since, operations) {
    const body = JSON.stringify({ who: this.who(), video, since, operations });
    return this.#ask(this.url, { method: "POST", headers: { "Content-Type": "application/json" }, body });
  }

  #get(video, since) {
    return this.#ask(`${this.url}/${encodeURIComponent(video)}?since=${since}`, {});
  }

  async #ask(url, options) {
    const response = await this.fetch(url, { ...options, signal: AbortSignal.timeout(10000) });
    if (response.ok) return response.json();
    const text = await response.text();
    throw Object.assign(new Error(text), { sentence: text.split("\n")[0].slice(0, 300) });
  }
}
