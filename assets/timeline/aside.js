/**
 * Operations that the server can never take: kept in this browser, apart from those that wait, so that they hold back
 * no other and nothing is lost.
 */
import { tableOf } from "./edits.js";
import { keep } from "./storage.js";

const isText = (value) => typeof value === "string" && value !== "";
const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

/** Whether something from the storage has an operation's parts, as it must to be painted and sent. */
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
  /** key: what the keys of those set aside begin with. */
  constructor(storage, key) {
    Object.assign(this, { storage, key });
    this.count = this.#names().length;
  }

  /** Keep an operation, or the text of what should be one; false where there is no room for it. */
  put(text, reason) {
    const number = Math.max(0, ...this.#names().map((name) => Number(name.slice(this.key.length + 1)) || 0)) + 1;
    const kept = keep(this.storage, `${this.key}.${number}`, JSON.stringify({ reason, text }));
    if (kept) this.count += 1;
    return kept;
  }

  /** [{reason, text}], the oldest first. */
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

  #names() {
    const number = (name) => Number(name.slice(this.key.length + 1));
    return Object.keys(this.storage).filter((name) => name.startsWith(`${this.key}.`) && number(name) > 0)
      .sort((one, other) => number(one) - number(other));
  }
}
