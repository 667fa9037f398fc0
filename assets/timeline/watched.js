/**
 * Which stretches of each video were really played, and how long a person worked on it. Kept in this browser alone.
 */

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
    Object.assign(this, { storage, key, video: null, spans: [], seconds: 0 });
  }

  open(video) {
    this.video = video;
    this.#last = null;
    const kept = this.#read();
    this.spans = kept.spans;
    this.seconds = kept.seconds;
  }

  #read() {
    try {
      const { spans, seconds } = JSON.parse(this.storage.getItem(`${this.key}.${this.video}`));
      if (Array.isArray(spans) && Number.isFinite(seconds)) return { spans, seconds };
    } catch {
      // nothing kept, or by something else
    }
    return { spans: [], seconds: 0 };
  }

  keep() {
    if (this.video === null) return;
    keep(this.storage, `${this.key}.${this.video}`, JSON.stringify({ spans: this.spans, seconds: this.seconds }));
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

  /** Count a second of work if somebody is at it. */
  second(now, playing) {
    if (playing || now - this.#touched < IDLE) this.seconds += 1;
  }

  /** Seconds of the video that were played. */
  get played() {
    return this.spans.reduce((sum, [start, end]) => sum + end - start, 0);
  }
}
