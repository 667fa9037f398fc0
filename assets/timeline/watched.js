/**
 * Which parts of each video were played, and how long each person worked on it. Kept in this browser only.
 */

import { clockText } from "./axis.js";
import { keep } from "./storage.js";

const IDLE = 30;        // seconds without a hand on anything after which a person is taken to be away
const GAP = 1;          // seconds between two pictures of a video that plays: more is a jump

/** Sorted, disjoint spans [start, end] with another one added. */
export function addSpan(spans, start, end) {
  const apart = spans.filter(([from, to]) => to < start || from > end);
  const touching = spans.filter(([from, to]) => to >= start && from <= end);
  const all = [[start, end], ...touching];
  const whole = [Math.min(...all.map(([from]) => from)), Math.max(...all.map(([, to]) => to))];
  return [...apart, whole].sort(([one], [other]) => one - other);
}

export class Watched {
  #last = null;
  #touched = -Infinity;

  /** storage: as localStorage; key: what its entries begin with. */
  constructor({ storage, key }) {
    Object.assign(this, { storage, key, video: null, spans: [], seconds: new Map() });
  }

  /** who: the person at work, to whom a single number of seconds (as older versions kept it) is credited. */
  open(video, who) {
    this.video = video;
    this.#last = null;
    const kept = this.#read(who);
    this.spans = kept.spans;
    this.seconds = new Map(kept.seconds);
  }

  #read(who) {
    try {
      const { spans, seconds } = JSON.parse(this.storage.getItem(`${this.key}.${this.video}`));
      const people = Number.isFinite(seconds) ? [[who, seconds]] : seconds;
      const sound = Array.isArray(spans) && people.every(([, count]) => Number.isFinite(count));
      if (sound) return { spans, seconds: people };
    } catch {
      // nothing kept, or something else under this key
    }
    return { spans: [], seconds: [] };
  }

  keep() {
    if (this.video === null) return;
    keep(this.storage, `${this.key}.${this.video}`, JSON.stringify({ spans: this.spans, seconds: [...this.seconds] }));
  }

  /** The playhead while the video plays, or null while it stands; true if more was watched than before. */
  see(time) {
    const before = this.#last;
    this.#last = time;
    if (time === null || before === null || time <= before || time - before > GAP) return false;
    this.spans = addSpan(this.spans, before, time);
    return true;
  }

  /** A person did something at this moment (seconds of any clock). */
  touch(now) {
    this.#touched = now;
  }

  /** Count a second of a person's work, unless the person is away. */
  second(now, playing, who) {
    if (playing || now - this.#touched < IDLE) this.seconds.set(who, (this.seconds.get(who) ?? 0) + 1);
  }

  /** What the desk's bar says: the share of `duration` that was played, a person's time, and that per point of theirs. */
  summary(who, duration, points) {
    const seconds = this.seconds.get(who) ?? 0;
    const mine = [...points].filter((point) => point.who === who).length;
    const share = Math.round(Math.min(100 * this.played / duration, 100));
    const each = mine ? ` · ${(seconds / mine).toFixed(1)} s per point` : "";
    return `Watched ${share} % · Time ${clockText(seconds, 0)}${each}`;
  }

  /** Seconds of the video that were played. */
  get played() {
    return this.spans.reduce((sum, [start, end]) => sum + end - start, 0);
  }
}
