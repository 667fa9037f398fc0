/**
 * Which parts of each video were played, and how long each person worked on it. Stored in this browser only.
 */

import { clockText } from "./axis.js";
import { keep } from "./storage.js";

const IDLE = 30;        // seconds without input after which a person counts as away
const GAP = 1;          // seconds between two animation frames during playback: more is a jump

/** Add a span to sorted, disjoint spans [start, end]. */
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

  /** storage: like localStorage; key: prefix of its entries. */
  constructor({ storage, key }) {
    Object.assign(this, { storage, key, video: null, spans: [], seconds: new Map() });
  }

  /** who: current person, credited with the single number of seconds that older versions stored. */
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
      // nothing stored, or something else under this key
    }
    return { spans: [], seconds: [] };
  }

  keep() {
    if (this.video === null) return;
    keep(this.storage, `${this.key}.${this.video}`, JSON.stringify({ spans: this.spans, seconds: [...this.seconds] }));
  }

  /** Report the playhead during playback, null while paused; returns whether the watched part grew. */
  see(time) {
    const before = this.#last;
    this.#last = time;
    if (time === null || before === null || time <= before || time - before > GAP) return false;
    this.spans = addSpan(this.spans, before, time);
    return true;
  }

  /** Record user input at this time (seconds of any clock). */
  touch(now) {
    this.#touched = now;
  }

  /** Count one second of work, unless the person is away. */
  second(now, playing, who) {
    if (playing || now - this.#touched < IDLE) this.seconds.set(who, (this.seconds.get(who) ?? 0) + 1);
  }

  /** Text of the desk's bar: share of `duration` that was played, the person's time, and time per own point. */
  summary(who, duration, points) {
    const seconds = this.seconds.get(who) ?? 0;
    const mine = [...points].filter((point) => point.who === who).length;
    const share = Math.round(Math.min(100 * this.played / duration, 100));
    const each = mine ? ` · ${(seconds / mine).toFixed(1)} s per point` : "";
    return `Watched ${share}% · Time ${clockText(seconds, 0)}${each}`;
  }

  /** Seconds of the video that have been played. */
  get played() {
    return this.spans.reduce((sum, [start, end]) => sum + end - start, 0);
  }
}
