/**
 * The labels as this browser knows them: what the server confirmed, and on top what it has not answered yet.
 * Painting shows both, so a label is on screen at once; only the server's word makes it "saved".
 */
export class Labels {
  #confirmed = new Map();
  #classes = [];
  #done = new Set();
  #counts = {};
  #view = null;
  seq = 0;
  video = null;
  pending = [];

  /** What the data set has: classes, counts of points and videos marked done. */
  open({ classes, videos }) {
    this.#classes = classes;
    this.#done = new Set(videos.filter((video) => video.done).map((video) => video.id));
    this.#counts = Object.fromEntries(videos.map((video) => [video.id, video.count]));
    this.#changed();
  }

  /** Begin with one video as the server has it. */
  load(video, { seq, points }) {
    this.video = video;
    this.seq = seq;
    this.#confirmed = new Map(points.map((point) => [point.id, point]));
    this.#changed();
  }

  push(operation) {
    this.pending.push(operation);
    this.#changed();
  }

  /** Take the server's answers; those refused come back with the reason, and are no longer painted. */
  acknowledge(acks) {
    const answered = new Map(acks.map((ack) => [ack.id, ack]));
    this.pending = this.pending.filter((operation) => !answered.has(operation.id));
    this.#changed();
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
    if (operations.length || classes) this.#changed();
    this.seq = seq;
  }

  get classes() {
    return this.#now().classes;
  }

  /** id -> {id, video, label, time, frame, who, waiting} of the video. */
  get points() {
    return this.#now().points;
  }

  /** class -> its points by time. */
  get lanes() {
    return this.#now().lanes;
  }

  /** Points by time. */
  get sorted() {
    return this.#now().sorted;
  }

  isDone(video) {
    return this.#now().done.has(video);
  }

  count(video) {
    return video === this.video ? this.points.size : this.#counts[video] ?? 0;
  }

  /** What was counted or marked so far; another object after each change. */
  get version() {
    return this.#now();
  }

  #changed() {
    this.#view = null;
  }

  #now() {
    if (this.#view) return this.#view;
    const points = new Map(this.#confirmed);
    const classes = [...this.#classes];
    const done = new Set(this.#done);
    for (const operation of this.pending) {
      if (operation.kind === "class") {
        classes.push(...Object.keys(operation.after).filter((name) => !classes.includes(name)));
      } else if (operation.kind === "mark") done[operation.after[operation.video] ? "add" : "delete"](operation.video);
      else if (operation.before) this.#apply(points, operation, "", true);
    }
    const sorted = [...points.values()].sort((one, other) => one.time - other.time);
    const lanes = new Map(classes.map((name) => [name, []]));
    for (const point of sorted) {
      if (!lanes.has(point.label)) lanes.set(point.label, []);
      lanes.get(point.label).push(point);
    }
    this.#view = { points, classes, done, sorted, lanes };
    return this.#view;
  }

  #apply(points, { before, after }, who, waiting = false) {
    for (const id of Object.keys(before)) if (!(id in after)) points.delete(id);
    for (const [id, point] of Object.entries(after)) {
      if (point.video === this.video) points.set(id, { ...point, id, who, waiting });
    }
  }
}
