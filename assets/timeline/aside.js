/**
 * Operations that the server can never accept. They are kept in this browser, separate from the queue, so that they
 * block no others and nothing is lost.
 */
import { tableOf } from "./edits.js";
import { keep } from "./storage.js";

const isText = (value) => typeof value === "string" && value !== "";
const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

/** Whether a value from the storage has the parts of an operation that painting and sending need. */
export function isOperation(operation) {
  if (!isObject(operation)) return false;
  const { id, video, kind, before, after } = operation;
  if (![id, video, kind].every(isText) || id.length > 100) return false;
  if (kind === "undo" || kind === "redo") return before === undefined && after === undefined;
  return [before, after].every((side) => isObject(side) && Object.values(side).every(isValue));
}

function isValue(value) {
  if (!isObject(value)) return false;
  const numbers = { points: ["time", "frame"], segments: ["start", "end"] }[tableOf(value)];
  return !numbers || (isText(value.video) && isText(value.label) && numbers.every((key) => Number.isFinite(value[key])));
}

export class Aside {
  /** key: prefix of the storage keys. */
  constructor(storage, key) {
    Object.assign(this, { storage, key });
    this.count = this.#names().length;
  }

  /** Keep an operation, or the text of what should be one; false if the storage is full. */
  put(text, reason) {
    const number = Math.max(0, ...this.#names().map((name) => this.#number(name))) + 1;
    const kept = keep(this.storage, `${this.key}.${number}`, JSON.stringify({ reason, text }));
    if (kept) this.count += 1;
    return kept;
  }

  /** [{reason, text}], oldest first. */
  get all() {
    return this.#names().map((name) => {
      try {
        const { reason, text } = JSON.parse(this.storage.getItem(name));
        return { reason: `${reason}`, text: `${text}` };
      } catch {
        return { reason: "", text: `${this.storage.getItem(name)}` };
      }
    });
  }

  discard() {
    for (const name of this.#names()) this.storage.removeItem(name);
    this.count = 0;
  }

  /** The number at the end of a storage key; NaN if the key is another data set's. */
  #number(name) {
    const rest = name.startsWith(`${this.key}.`) ? name.slice(this.key.length + 1) : "";
    return /^\d+$/.test(rest) ? Number(rest) : NaN;
  }

  #names() {
    return Object.keys(this.storage).filter((name) => this.#number(name) > 0)
      .sort((one, other) => this.#number(one) - this.#number(other));
  }
}
