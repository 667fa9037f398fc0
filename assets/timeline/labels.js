/**
 * The labels as this browser knows them: those confirmed by the server, plus operations that it has not answered yet.
 * Both are painted, so a label is on screen at once; only the server's answer makes it "saved".
 */

import { tableOf } from "./edits.js";
import { View } from "./view.js";

export class Labels {
  #confirmed = new View();
  #segments = new Map();
  #classes = [];
  #done = new Set();
  #counts = {};
  #now = null;
  seq = 0;
  last = "";
  video = null;
  pending = [];

  /** Load the data set's classes {name, index, count, style}, point counts and videos marked done. */
  open({ classes, videos }) {
    this.#classes = classes;
    this.#done = new Set(videos.filter((video) => video.done).map((video) => video.id));
    this.#counts = Object.fromEntries(videos.map((video) => [video.id, video.count]));
    this.#now = null;
  }

  /** Load the server's state of one video. */
  load(video, { seq, last = "", points, segments = [] }) {
    Object.assign(this, { video, seq, last });
    this.#confirmed = new View(this.#classes.map((entry) => entry.name), points);
    this.#segments = new Map(segments.map((segment) => [segment.id, segment]));
    this.#now = null;
  }

  push(operation) {
    this.pending.push(operation);
    this.#now = this.#now && this.pending.length > 1 ? this.#with([operation], this.#now) : null;
  }

  /** Take the server's answers; returns the refused ones with their reasons, which are no longer painted. */
  acknowledge(acks) {
    const answered = new Map(acks.map((ack) => [ack.id, ack]));
    this.pending = this.pending.filter((operation) => !answered.has(operation.id));
    this.#now = null;
    return acks.filter((ack) => ack.refused);
  }

  /** Apply what anyone did on the server since `seq`; authors: id -> who placed that point or segment. */
  receive({ seq, last = "", operations = [], authors = {}, classes, counts, done }) {
    const changes = new Map();
    for (const operation of operations) {
      this.#collect(changes, this.#segments, operation, (id) => ({ who: authors[id] ?? operation.who, waiting: false }));
    }
    this.#confirmed.change(changes);
    if (classes) this.#classes = classes;
    if (counts) this.#counts = counts;
    if (done) this.#done = new Set(done);
    Object.assign(this, { seq, last });
    if (operations.length || classes) this.#now = null;
  }

  /** Id of the pending operation that an undo or redo refers to, if there is one. */
  about({ kind, video, who }) {
    let [done, undone] = [[], []];
    for (const operation of this.pending.filter((one) => one.video === video && one.who === who)) {
      if (operation.kind === "undo") undone.push(done.pop());
      else if (operation.kind === "redo") done.push(undone.pop());
      else [done, undone] = [[...done, operation.id], []];
    }
    return (kind === "undo" ? done : undone).at(-1);
  }

  /** Class names that the server has confirmed. */
  get known() {
    return this.#classes.map((entry) => entry.name);
  }

  /** Class names in display order. */
  get classes() {
    return this.now.names;
  }

  /** {name, index, count, style, key} of a class; index is -1 if only points name it. */
  entry(name) {
    return this.now.entries.get(name) ?? { name, index: -1, count: 0, style: {}, key: "" };
  }

  /** id -> {id, video, label, time, frame, doubt?, who, waiting} of the video. */
  get points() {
    return this.now.view.points;
  }

  /** id -> {id, video, label, start, end, point, model, refused?, who, waiting}: accepted and rejected segments. */
  get segments() {
    return this.now.segments;
  }

  /** class -> its points by time, in class order. */
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

  /** The current state; a new object after each change. */
  get now() {
    const waits = this.pending.length > 0;
    this.#now ??= this.#with(this.pending, { view: waits ? this.#confirmed.copy() : this.#confirmed,
      segments: waits ? new Map(this.#segments) : this.#segments, classes: this.#classes, done: new Set(this.#done) });
    return this.#now;
  }

  /** The state after more operations; modifies `view`, `segments` and `done` in place. */
  #with(operations, { view, segments, classes, done }) {
    const changes = new Map();
    for (const operation of operations) {
      if (!operation.before) continue;
      if (operation.kind === "mark") done[operation.after[operation.video] ? "add" : "delete"](operation.video);
      else if (["class", "rename", "merge"].includes(operation.kind)) {
        view.change(changes);
        changes.clear();
        classes = changeClasses(classes, view, operation);
      } else this.#collect(changes, segments, operation,
        (id) => ({ who: (view.points.get(id) ?? segments.get(id))?.who ?? operation.who ?? "", waiting: true }));
    }
    view.change(changes);
    const entries = withKeys(classes);
    const used = [...view.lanes].filter(([, points]) => points.length).map(([name]) => name);
    const lanes = new Map([...new Set([...entries.keys(), ...used])].map((name) => [name, view.lanes.get(name) ?? []]));
    return { view, segments, classes, entries, names: [...entries.keys()], done, lanes };
  }

  #collect(changes, segments, { before, after }, about) {
    for (const [id, gone] of Object.entries(before)) {
      if (tableOf(gone) === "points") changes.set(id, null);
      else if (!(id in after)) segments.delete(id);
    }
    for (const [id, label] of Object.entries(after)) {
      if (label.video !== this.video) continue;
      if (tableOf(label) === "points") changes.set(id, { ...label, id, ...about(id) });
      else segments.set(id, { ...label, id, ...about(id) });
    }
  }
}

/** The classes after a pending operation; the server's answer will give each its index and count. */
function changeClasses(classes, view, { before, after }) {
  const going = Object.keys(before).filter((name) => !(name in after));
  const coming = Object.keys(after).filter((name) => !(name in before));
  const [stays] = Object.keys(after);
  const points = stays ? going.flatMap((name) => view.lanes.get(name) ?? []) : [];
  view.change(new Map(points.map((point) => [point.id, { ...point, label: stays, waiting: true }])));
  const renamed = (entry) => (entry.name === going[0] && coming.length ? { ...entry, name: coming[0] } : entry);
  const kept = classes.map(renamed)
    .filter((entry) => !going.includes(entry.name))
    .map((entry) => (after[entry.name] ? { ...entry, style: after[entry.name] } : entry));
  const fresh = coming.filter((name) => !kept.some((entry) => entry.name === name))
    .map((name, place) => ({ name, index: classes.length + place, count: 0, style: after[name] }));
  return [...kept, ...fresh].map((entry, place) => [entry.style.place ?? place, entry])
    .sort(([one], [other]) => one - other).map(([, entry]) => entry);
}

/** Assign digit keys: first those chosen by people, then the remaining digits in class order. */
function withKeys(classes) {
  const given = new Set(classes.map((entry) => entry.style.key).filter(Boolean));
  const free = [..."1234567890"].filter((digit) => !given.has(digit));
  const taken = new Set();
  return new Map(classes.map((entry) => {
    const own = entry.style.key && !taken.has(entry.style.key) ? entry.style.key : null;
    const key = own ?? (entry.style.key ? "" : free.shift() ?? "");
    taken.add(key);
    return [entry.name, { ...entry, key }];
  }));
}
