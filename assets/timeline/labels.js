/**
 * The labels as this browser knows them: what the server confirmed, and on top what it has not answered yet.
 * Painting shows both, so a label is on screen at once; only the server's word makes it "saved".
 */

import { View } from "./view.js";

export class Labels {
  #confirmed = new View();
  #classes = [];
  #done = new Set();
  #counts = {};
  #now = null;
  seq = 0;
  video = null;
  pending = [];

  /** What the data set has: classes, counts of points and videos marked done. */
  open({ classes, videos }) {
    this.#classes = classes;
    this.#done = new Set(videos.filter((video) => video.done).map((video) => video.id));
    this.#counts = Object.fromEntries(videos.map((video) => [video.id, video.count]));
    this.#now = null;
  }

  /** Begin with one video as the server has it. */
  load(video, { seq, points }) {
    this.video = video;
    this.seq = seq;
    this.#confirmed = new View(this.#classes, points);
    this.#now = null;
  }

  push(operation) {
    this.pending.push(operation);
    this.#now = null;
  }

  /** Take the server's answers; those refused come back with the reason, and are no longer painted. */
  acknowledge(acks) {
    const answered = new Map(acks.map((ack) => [ack.id, ack]));
    this.pending = this.pending.filter((operation) => !answered.has(operation.id));
    this.#now = null;
    return acks.filter((ack) => ack.refused);
  }

  /** Take what happened on the server since `seq`: one's own operations, other tabs' and other people's. */
  receive({ seq, operations = [], classes, counts, done }) {
    for (const operation of operations) {
      if (operation.table === "points") this.#apply(this.#confirmed, operation, operation.who);
    }
    if (classes) this.#classes = classes;
    if (counts) this.#counts = counts;
    if (done) this.#done = new Set(done);
    this.seq = seq;
    if (operations.length || classes) this.#now = null;
  }

  get classes() {
    return this.now.classes;
  }

  /** id -> {id, video, label, time, frame, who, waiting} of the video. */
  get points() {
    return this.now.view.points;
  }

  /** class -> its points by time, in the classes' order. */
  get lanes() {
    return this.now.lanes;
  }

  /** Points by time. */
  get sorted() {
    return this.now.view.sorted;
  }

  isDone(video) {
    return this.now.done.has(video);
  }

  count(video) {
    return video === this.video ? this.points.size : this.#counts[video] ?? 0;
  }

  /** All of this moment; another object after each change. */
  get now() {
    if (this.#now) return this.#now;
    const view = this.pending.length ? this.#confirmed.copy() : this.#confirmed;
    const classes = [...this.#classes];
    const done = new Set(this.#done);
    for (const operation of this.pending) {
      if (operation.kind === "class") {
        classes.push(...Object.keys(operation.after).filter((name) => !classes.includes(name)));
      } else if (operation.kind === "mark") done[operation.after[operation.video] ? "add" : "delete"](operation.video);
      else if (operation.before) this.#apply(view, operation, "", true);
    }
    const used = [...view.lanes].filter(([, points]) => points.length).map(([name]) => name);
    const lanes = new Map([...new Set([...classes, ...used])].map((name) => [name, view.lanes.get(name) ?? []]));
    this.#now = { view, classes, done, lanes };
    return this.#now;
  }

  #apply(view, { before, after }, who, waiting = false) {
    for (const id of Object.keys(before)) if (!(id in after)) view.remove(id);
    for (const [id, point] of Object.entries(after)) {
      if (point.video === this.video) view.put({ ...point, id, who, waiting });
    }
  }
}
