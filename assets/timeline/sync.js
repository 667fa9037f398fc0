/**
 * Sends operations to the server and fetches news. An operation stays in the queue and in the browser's storage until
 * the server has answered it. It is resent until then; the server applies each id once.
 */
import { isOperation } from "./aside.js";
import { keep } from "./storage.js";

const PAUSE = 1000;
const BATCH = 500;
const LETTERS = 4e6;        // characters per request; the server accepts 16 MiB, a proxy maybe less

export class Sync {
  #timer = null;
  #busy = false;
  #stopped = false;
  #kept = new Map();
  #number = 0;
  #full = "";
  #letters = LETTERS;

  /**
   * url: the data set's labels route; labels: Labels; storage: like localStorage; aside: Aside, for operations that the
   * server can never accept; onNews({refused, notes, reload}): after an answer; onStatus(): when `status` changed.
   */
  constructor({ url, labels, who, storage, key, aside, onNews, onStatus, fetch = globalThis.fetch.bind(globalThis) }) {
    Object.assign(this, { url, labels, who, storage, key, aside, onNews, onStatus, fetch });
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

  /**
   * Queue an operation. It keeps its author, however long it waits. An undo names the pending operation that it refers
   * to, so that nothing else is undone if that one is refused.
   */
  push(made) {
    const operation = { ...made, who: this.who() };
    if (!made.before) operation.of = this.labels.about(operation);
    this.#keep(operation);
    this.labels.push(operation);
    this.#say("saving", "");
    this.#next(0);
  }

  /** Take over operations of a tab that was closed or reloaded before they were answered. */
  #adopt() {
    const left = Object.keys(this.storage).filter((name) => name.startsWith(`${this.key}.`)
      && /^\w+\.\d+$/.test(name.slice(this.key.length + 1))).sort();
    for (const name of left) {
      const text = this.storage.getItem(name);
      if (text === null || text === undefined) continue;                  // another tab has just taken it
      const operation = parsed(text);
      if (!isOperation(operation)) {
        if (this.aside.put(text, "It is not a label operation.")) this.storage.removeItem(name);
        continue;
      }
      if (!isName(operation.who)) delete operation.who;
      if (this.#keep(operation)) this.storage.removeItem(name);
      else this.#kept.set(operation.id, name);
      this.labels.push(operation);
    }
  }

  /** Store one entry per operation, so that a key press takes no longer when many are pending. */
  #keep(operation) {
    const name = `${this.own}.${`${this.#number++}`.padStart(9, "0")}`;
    this.#kept.set(operation.id, name);
    const kept = keep(this.storage, name, JSON.stringify(operation));
    if (!kept) this.#full = ". This browser cannot store them either: keep this tab open";
    return kept;
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
    const sent = firstOf(pending, this.#letters);
    let pause = PAUSE;
    try {
      const answer = await (sent.length ? this.#post(video, seq, last, sent) : this.#get(video, seq, last));
      if (this.#stopped) return;
      const { acks = [] } = answer;
      for (const [place, ack] of acks.entries()) {
        ack.id ||= sent[place]?.id;
        if (ack.malformed) ack.kept = this.aside.put(JSON.stringify(sent[place]), ack.refused);
      }
      const refused = this.labels.acknowledge(acks);
      this.#forget(acks.map(({ id }) => id));
      if (video === this.labels.video && seq === this.labels.seq) {
        if (answer.reload) this.onNews({ refused, reload: true });
        else {
          this.labels.receive(answer);
          const notes = acks.filter((ack) => ack.note);
          if (answer.operations || refused.length) this.onNews({ refused, notes });
        }
      }
      if (this.labels.pending.length) pause = 0;
      else if (sent.length) this.#say("saved", "", new Date());
      else if (this.status.state !== "saved") this.#say("saved", "");
    } catch (error) {
      if ((error.status === 413 || error.status === 400) && sent.length && video) {
        this.#sendLess(sent, error.sentence);
      }
      this.#say("waiting", (error.sentence ?? "no connection") + this.#full);
    } finally {
      this.#busy = false;
      this.#next(pause);
    }
  }

  /** Send less per request; set aside an operation that is rejected even alone, as it would block all others. */
  #sendLess(sent, reason) {
    this.#letters = sent.length > 1 ? Math.min(this.#letters, JSON.stringify(sent).length) / 2 : LETTERS;
    if (sent.length > 1 || !this.aside.put(JSON.stringify(sent[0]), reason)) return;
    const acks = [{ id: sent[0].id, refused: reason, kept: true }];
    this.onNews({ refused: this.labels.acknowledge(acks) });
    this.#forget([sent[0].id]);
  }

  #post(video, since, last, operations) {
    const body = JSON.stringify({ who: operations[0].who ?? this.who(), video, since, last, operations });
    return this.#ask(this.url, { method: "POST", headers: { "Content-Type": "application/json" }, body });
  }

  #get(video, since, last) {
    return this.#ask(`${this.url}/${encodeURIComponent(video)}?${new URLSearchParams({ since, last })}`, {});
  }

  async #ask(url, options) {
    const response = await this.fetch(url, { ...options, signal: AbortSignal.timeout(10000) });
    const text = await response.text();
    const answer = response.ok ? parsed(text) : null;
    if (Number.isInteger(answer?.seq)) return answer;
    if (response.ok) throw new Error("unexpected answer, not from the app");
    throw Object.assign(new Error(text), { status: response.status, sentence: text.split("\n")[0].slice(0, 300) });
  }
}

/** As many of one person's first operations as fit into one request, at least one. */
function firstOf(operations, most) {
  let letters = 0;
  const end = operations.slice(0, BATCH).findIndex((operation, index) =>
    ((letters += JSON.stringify(operation).length) > most || operation.who !== operations[0].who) && index > 0);
  return operations.slice(0, end < 0 ? BATCH : end);
}

/** Whether the server accepts it as a person's name. */
function isName(who) {
  return typeof who === "string" && who.trim() !== "" && who.length <= 200;
}

/** Pending operations of other data sets in this browser: {data set: count}. root: prefix of all keys. */
export function waitingElsewhere(storage, root, dataset) {
  const counts = {};
  for (const key of Object.keys(storage).filter((one) => one.startsWith(`${root}.`))) {
    const [, name] = /^(.+)\.\w+\.\d+$/.exec(key.slice(root.length + 1)) ?? [];
    if (name && name !== dataset) counts[name] = (counts[name] ?? 0) + 1;
  }
  return counts;
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
