/** The annotation desk: the stage, the lists beside it, and labels that are painted at once and saved soon after. */

import { Address } from "./address.js";
import { Aside } from "./aside.js";
import { clockText } from "./axis.js";
import { button, closeOutageDialogs, el, fillWindow, icon } from "./dom.js";
import { askName, askNote, editClass, showAside } from "./dialogs.js";
import {
  addClass, addPoint, changePoints, decide, goBack, markDone, moveSegment, removePoints,
} from "./edits.js";
import { lowerBound } from "./hit.js";
import { Labels } from "./labels.js";
import { Model } from "./model.js";
import { ClassPanel, PointPanel, QueuePanel, trains, VideoPanel } from "./panels.js";
import { Stage } from "./stage.js";
import { withEdge } from "./suggest.js";
import { browserStorage, keep } from "./storage.js";
import { Sync, waitingElsewhere } from "./sync.js";
import { Watched } from "./watched.js";

const LOOK_AGAIN = 3000;    // milliseconds after the last label until the suggestions are fetched again
const REACTION = .25;       // seconds between seeing an expected event and pressing a key
const LEAST_LANES = 6;      // that always fit, so that new classes do not move the layout
const SCORES = 80;          // pixels of the two score lanes

export class Desk {
  #truth = new Map();
  #painted = null;
  #listing = false;
  #named = "";

  constructor(parent, data) {
    const storage = browserStorage("localStorage");
    Object.assign(this, { data, labels: new Labels(), savedAt: null, storage });
    const { base, dataset } = data;
    this.url = `${base}/labels/${encodeURIComponent(dataset)}`;
    this.stage = new Stage({ base, dataset, desk: this });
    this.selection = this.stage.selection;
    const colourOf = (name) => this.colour(name);
    this.model = new Model({ url: `${base}/models/${encodeURIComponent(dataset)}`, storage,
      key: `hrpro.model.${dataset}`, onChange: () => this.modelled() });
    this.aside = new Aside(storage, `hrpro.aside.${dataset}`);
    this.watched = new Watched({ storage, key: `hrpro.watched.${dataset}` });
    this.videos = new VideoPanel({ labels: this.labels, onOpen: (id) => this.turnTo(id) });
    this.queue = new QueuePanel({ model: this.model, colourOf, onGo: (moment) => this.visit(moment) });
    this.classes = new ClassPanel({ labels: this.labels, colourOf,
      onChoose: (name) => this.choose({ label: name }), onAdd: (name) => this.push(addClass(this.current, name)),
      onEdit: (name) => editClass(this, name) });
    this.points = new PointPanel({ labels: this.labels, selection: this.selection, colourOf,
      onPick: (point, more) => this.goTo(point, more), onRelabel: (label) => this.change(() => ({ label })),
      onRemove: () => this.remove(), onFlag: () => this.flag(), onFilter: () => this.refresh(true) });
    this.address = new Address();
    this.saved = el("span", { class: "badge save", role: "status" });
    this.split = el("span", { class: "badge split", role: "status" });
    this.message = el("span", { class: "message", role: "alert" });
    this.who = el("input", { class: "who", "aria-label": "Your name", title: "Your name, saved with each label",
      value: storage.getItem("hrpro.name") || data.who, maxlength: "200",
      onchange: () => keep(storage, "hrpro.name", this.who.value.trim()) });
    this.suggested = el("span", { class: "badge suggestion", role: "status" });
    this.cost = el("span", { class: "cost",
      title: "The share of this video that was played and the time spent on it; stored in this browser only" });
    this.modelChoice = el("select", { "aria-label": "Model",
      title: data.runs.length ? "The run whose scores, detections and suggestions are shown"
        : "Train a model; its scores and detections can then be shown here",
      onchange: () => {
        this.model.choose(this.modelChoice.value);
        this.queue.load();
        this.stage.focus();
      } },
    el("option", { value: "" }, data.runs.length ? "No model" : "No model yet"),
    ...data.runs.map((run) => el("option", { value: run }, run)));
    this.modelChoice.disabled = !data.runs.length;
    if (!data.runs.includes(this.model.run)) this.model.run = "";
    this.modelChoice.value = this.model.run;
    this.queue.root.prepend(el("label", { class: "row model" }, "Model ", this.modelChoice));
    this.videos.root.append(this.queue.root);
    this.fold = button("Show or hide the scores (S)", icon("scores"), () => this.act("foldScores"));
    this.fold.disabled = !this.model.run;
    this.done = el("input", { type: "checkbox", onchange: () => {
      this.push(markDone(this.current, this.done.checked));
      this.stage.focus();
    } });
    this.stage.foot.prepend(this.suggested);
    this.stage.tools.append(this.fold,
      button("Undo (Ctrl+Z)", icon("undo"), () => this.act("undo")),
      button("Redo (Ctrl+Shift+Z)", icon("redo"), () => this.act("redo")),
      el("label", { class: "done", title: "Mark the video complete: every action in it is labelled" }, this.done,
        "Complete"));
    this.setAside = button("Operations that the server could not take; they are kept in this browser", "",
      () => showAside(this.root, this.aside).then(() => this.showSaved()), { hidden: true });
    this.bar = el("footer", { class: "bar" }, this.saved, this.setAside, this.split, this.message, this.cost,
      el("label", {}, "Your name ", this.who));
    this.root = el("div", { class: "desk" }, this.videos.root, this.stage.root,
      el("aside", { class: "panel labels", "aria-label": "Labels" }, this.classes.root, this.points.root), this.bar);
    parent.append(this.root);
    this.filling = fillWindow(this.root);
    this.outages = closeOutageDialogs();
    this.stage.onTick = () => this.watch();
    this.working = setInterval(() => this.work(), 1000);
    this.root.addEventListener("pointermove", () => this.watched.touch(performance.now() / 1000));
    this.begin();
  }

  /** A rerun of the page sends the same data; another data set creates a new desk. */
  update() {}

  dispose() {
    this.sync?.stop();
    this.address.stop();
    this.watched.keep();
    clearInterval(this.working);
    clearTimeout(this.looking);
    this.filling.stop();
    this.outages.stop();
    this.stage.dispose();
    this.root.remove();
    this.gone = true;
  }

  async begin() {
    const desk = await this.fetchJson(this.url);
    if (this.gone) return;
    if (!desk) {
      this.refuse(this.message.textContent);
      return;
    }
    this.labels.open(desk);
    this.videos.videos = desk.videos;
    this.stage.reserve(Math.max(desk.classes.length, LEAST_LANES), this.data.runs.length ? SCORES : 0);
    const elsewhere = Object.entries(waitingElsewhere(this.storage, "hrpro.queue", this.data.dataset))
      .map(([name, count]) => `${name} (${count})`).join(", ");
    const waiting = elsewhere && `This browser holds unsaved labels of other data sets: ${elsewhere}. Open them to save.`;
    const missing = this.data.video && !desk.videos.some((video) => video.id === this.data.video)
      && `This data set has no video "${this.data.video}"; another one is shown.`;
    this.say([desk.notices.at(-1), waiting, missing].filter(Boolean).join(" ") || (desk.classes.length ? ""
      : "Add a class on the right. Then press 1 or click in its lane to add a point."));
    this.sync = new Sync({ url: this.url, labels: this.labels, who: () => this.who.value.trim() || this.data.who,
      storage: this.storage, key: `hrpro.queue.${this.data.dataset}`, aside: this.aside,
      onStatus: () => this.showSaved(), onNews: (news) => this.news(news) });
    const remembered = browserStorage("sessionStorage").getItem(this.memory);
    const wanted = [this.data.video, remembered].find((id) => desk.videos.some((video) => video.id === id));
    const { videos } = this.videos;
    const first = wanted ?? videos.find((video) => video.file)?.id ?? videos[0]?.id;
    if (!first) {
      this.refuse("This data set has no videos yet. Add some on the Projects page.");
      return;
    }
    await this.open(first, wanted === this.data.video ? this.data.seek : 0);
    this.showSaved();
    this.sync.start();
    this.queue.load();
    if (!this.storage.getItem("hrpro.name")) await askName(this.root, this.who);
    this.stage.focus();
  }

  /** Replace the desk by the reason why nothing can be labelled. */
  refuse(sentence) {
    this.root.replaceChildren(el("p", { class: "refusal", role: "alert" }, sentence, el("br"),
      el("a", { href: `${this.data.base}/?dataset=${encodeURIComponent(this.data.dataset)}` }, "Go to Projects")));
  }

  /** In each animation frame: tint what was played, and update the address. */
  watch() {
    const { clock } = this.stage;
    if (this.current) this.address.show(this.current, clock.time);
    if (this.watched.see(clock.playing ? clock.time : null)) this.stage.watched = this.watched.spans;
  }

  work() {
    if (document.hidden || !this.current) return;
    const who = this.sync.who();
    this.watched.second(performance.now() / 1000, this.stage.clock.playing, who);
    this.watched.keep();
    this.cost.textContent = this.watched.summary(who, this.stage.overview.duration, this.labels.points.values());
  }

  /** Go to a suggestion: its moment, its class and the point that it is about. */
  async visit({ video, time, label }) {
    if (video !== this.current) await this.open(video, time);
    this.stage.clock.seek(time);
    this.stage.axis.follow(time);
    this.choose({ label });
    const point = this.labels.lanes.get(label)?.find((other) => Math.abs(other.time - time) < 1e-6);
    this.select(point ? [point.id] : []);
    this.stage.focus();
  }

  /** The chosen run's proposals and curves arrived, or another run was chosen. */
  modelled() {
    this.fold.disabled = !this.model.run;
    if (this.model.note) this.say(this.model.note);
    this.refresh(true);
  }

  get memory() {
    return `hrpro.video.${this.data.dataset}`;
  }

  async fetchJson(url) {
    try {
      const response = await fetch(url);
      if (response.ok) return response.json();
      this.say(await response.text());
    } catch {
      this.say("No answer from the app. Is it still running?");
    }
    return null;
  }

  /** Go to a video, unless it is already open: it may be playing. */
  turnTo(id) {
    if (id !== this.wanted) this.open(id);
    this.stage.focus();
  }

  async open(id, seconds = 0) {
    const video = this.videos.videos.find((candidate) => candidate.id === id);
    this.wanted = this.videos.current = id;
    const state = await this.fetchJson(`${this.url}/${encodeURIComponent(id)}`);
    if (this.gone || this.wanted !== id) return;
    if (!state) {
      this.wanted = this.videos.current = this.current;
      return;
    }
    if (this.current !== id) this.stage.open(video, seconds ?? 0);
    this.current = id;
    this.split.textContent = trains(video) ? ""
      : `${video.split ? "Test video" : "In no split"}: points here are not used for training`;
    keep(browserStorage("sessionStorage"), this.memory, id);
    this.selection.clear();
    this.watched.keep();
    this.watched.open(id, this.sync.who());
    this.stage.watched = this.watched.spans;
    this.labels.load(id, state);
    this.#named = JSON.stringify(this.labels.known.sort());
    this.model.load(id);
    this.#truth = new Map();
    for (const [start, end, label] of state.truth) {
      this.#truth.set(label, [...this.#truth.get(label) ?? [], [start, end, 1, label]]);
    }
    this.refresh();
    this.videos.list.reveal(id);
  }

  colour(name) {
    const { index, style } = this.labels.entry(name);
    return style.colour ?? this.data.palette[Math.max(index, 0) % this.data.palette.length];
  }

  push(operation) {
    if (!operation || !this.current) return;
    this.sync.push(operation);
    this.refresh();
  }

  /** Reload everything after the log was replaced. */
  async readAgain() {
    const desk = await this.fetchJson(this.url);
    if (!desk || this.gone) return;
    this.labels.open(desk);
    this.videos.videos = desk.videos;
    this.open(this.current);
  }

  news({ refused, notes = [], reload }) {
    if (reload) this.readAgain();
    if (refused.length) this.say(refused.map((ack) => ack.refused + (ack.kept ? " It is set aside." : "")).join(" "));
    else if (notes.length) this.say(notes.map((ack) => ack.note).join(" "));
    for (const id of [...this.selection]) if (!this.labels.points.has(id)) this.selection.delete(id);
    const named = JSON.stringify(this.labels.known.sort());
    if (named !== this.#named) this.model.load(this.current);       // the server names outputs as the classes are now
    this.#named = named;
    this.classes.settle();
    this.stage.activeLane = this.classes.active;
    this.refresh();
  }

  say(text) {
    this.message.textContent = this.message.title = text;
  }

  showSaved() {
    const { state, at, reason } = this.sync.status;
    if (state === "saved" && at !== this.savedAt) {
      this.savedAt = at;
      clearTimeout(this.looking);
      this.looking = setTimeout(() => this.queue.load(), LOOK_AGAIN);
    }
    const waiting = this.labels.pending.length;
    this.setAside.hidden = !this.aside.count;
    this.setAside.textContent = `${this.aside.count} set aside`;
    this.saved.className = `badge save ${state}`;
    this.saved.textContent = this.saved.title = state === "saved" ? (at ? `saved ${at.toLocaleTimeString("en-GB")}` : "connected")
      : state === "saving" ? `saving ${waiting} …`
        : waiting ? `${waiting} not saved yet: ${reason}` : reason;
  }

  /** Show the current labels: the timeline in the next animation frame, the lists right after it. */
  refresh(again = false) {
    if (again || this.#painted !== this.labels.now) {
      this.#painted = this.labels.now;
      const { active } = this.classes;
      const decided = Map.groupBy([...this.labels.segments.values()].filter((one) => !one.refused), (one) => one.label);
      this.stage.setLanes([
        ...[...this.labels.lanes].map(([label, points]) => this.lane(label, points, decided.get(label) ?? [])),
        ...this.model.lanes(active, active && this.colour(active))]);
      this.stage.dimmed = this.points.hidden;
      this.done.checked = this.labels.isDone(this.current);
    }
    this.suggest();
    this.stage.changed();
    if (this.#listing) return;
    this.#listing = true;
    requestAnimationFrame(() => setTimeout(() => {
      this.#listing = false;
      this.classes.refresh();
      this.videos.refresh();
      this.points.refresh();
    }));
  }

  /** Lane of a class: annotated and accepted segments solid, the model's proposals hatched, points on top. */
  lane(label, points, decided) {
    const layers = [{ kind: "segments", style: "hatched", items: this.model.of(label) },
      { kind: "segments", style: "solid", items: this.#truth.get(label) ?? [] },
      { kind: "segments", style: "accepted", items: decided.map(({ start, end }) => [start, end, 1, label]) }];
    return { id: label, label, colour: this.colour(label), key: this.labels.entry(label).key, editable: true, points,
      layers: layers.filter(({ items }) => items.length) };
  }

  /** The point, if exactly one is selected, with the segment decided for it or else the model's suggestion. */
  get pending() {
    const [point] = this.chosen;
    if (!point || this.selection.size !== 1) return {};
    const decided = [...this.labels.segments.values()].find((segment) => segment.point === point.id);
    return { point, decided, suggestion: decided ? null : this.model.suggest(point, this.stage.overview.duration) };
  }

  suggest() {
    const { point, decided, suggestion } = this.pending;
    this.stage.suggestion = suggestion ?? null;
    this.stage.edges = suggestion ?? (decided && !decided.refused ? decided : null);
    this.suggested.textContent = this.suggested.title = suggestion
      ? `${clockText(suggestion.start)} – ${clockText(suggestion.end)} · Enter: accept · X: reject`
      : decided ? (decided.refused ? "Rejected · Enter: accept" : "Accepted · X: reject")
        : point && this.model.run && this.model.curves ? `No "${point.label}" detected here` : "";
  }

  /** Accept (Enter) or reject (X) the suggestion for the selected point. */
  settle(refused) {
    const { decided, suggestion } = this.pending;
    if (!suggestion && (!decided || Boolean(decided.refused) === refused)) return false;
    this.push(decide(suggestion ?? decided, refused));
    return true;
  }

  /** Where a segment's edges are after one was moved to this time; see `withEdge`. */
  reshape(segment, edge, seconds) {
    return withEdge(segment, edge, seconds, this.labels.points.get(segment.point), this.stage.clock.frames);
  }

  /** Move an edge of the suggested or accepted segment by frames; false if there is none. */
  nudgeEdge(edge, frames) {
    const { edges, clock, axis } = this.stage;
    if (!edges) return false;
    const next = this.reshape(edges, edge, edges[edge] + frames / clock.frames.fps);
    if (next[edge] !== edges[edge]) this.correct(edges, next.start, next.end);
    if (!clock.playing) clock.seek(next[edge]);
    axis.follow(next[edge]);
    return true;
  }

  /** An edge was moved: move it in the log, or accept a suggestion with the new edge. */
  correct(segment, start, end) {
    this.push(segment.id ? moveSegment(segment, start, end) : decide({ ...segment, start, end }, false));
  }

  /** Flag the selected points for review, with a note, or clear their flags. */
  async flag() {
    const { chosen } = this;
    if (!chosen.length) return;
    const note = await askNote(this.root, chosen[0].doubt ?? "");
    if (note !== null) this.change(() => ({ doubt: note || undefined }));
    this.stage.focus();
  }

  /** Make a class the active one: highlight it and scroll to it. */
  choose(lane) {
    const other = this.classes.active !== lane.label;
    this.classes.active = lane.label;
    this.stage.activeLane = lane.label;
    this.stage.reveal(this.stage.lanes.findIndex((other) => other.id === lane.label));
    this.classes.list.reveal(lane.label);
    this.refresh(other && Boolean(this.model.curves));
  }

  select(ids, more = false) {
    if (!more) this.selection.clear();
    for (const id of ids) this.selection.add(id);
    const [point] = this.chosen;
    const shown = point && this.selection.size === 1 && this.model.curves && point.label !== this.classes.active;
    if (shown) this.classes.active = this.stage.activeLane = point.label;
    this.refresh(shown);
  }

  get chosen() {
    return [...this.selection].map((id) => this.labels.points.get(id)).filter(Boolean);
  }

  /** A click in a lane: add a point on the frame under it, and show that frame unless the video plays. */
  place(lane, seconds) {
    const { clock } = this.stage;
    const frame = clock.frames.at(seconds);
    this.put(lane.label, frame);
    if (!clock.playing) clock.seekFrame(frame);
  }

  put(label, frame) {
    const { frames } = this.stage.clock;
    const same = this.labels.lanes.get(label)?.find((point) => frames.of(point) === frame);
    if (!same) {
      const operation = addPoint(this.current, label, frames.time(frame), frame);
      this.push(operation);
      this.say("");
      this.select(Object.keys(operation.after));
    } else this.select([same.id]);
  }

  /** A click on a point. */
  pick(point, more) {
    if (more && this.selection.has(point.id)) {
      this.selection.delete(point.id);
      this.select([], true);
    } else this.select([point.id], more);
  }

  goTo(point, more) {
    this.pick(point, more);
    this.stage.reveal(this.stage.lanes.findIndex((lane) => lane.editable && lane.label === point.label));
    this.stage.clock.seekFrame(this.stage.clock.frames.of(point));
    this.stage.axis.follow(point.time);
  }

  /** A selection box was drawn around these points. */
  selected(points, more) {
    this.select(points.map((point) => point.id), more);
  }

  /** Where dragged points would end up. */
  lift(points, frames, label) {
    const { frames: known } = this.stage.clock;
    return points.map((point) => {
      const here = known.of(point);
      const frame = known.clamp(here + frames);
      return { label: label ?? point.label, frame, time: frame === here ? point.time : known.time(frame) };
    });
  }

  drop(points, frames, label) {
    const moved = this.lift(points, frames, label);
    this.push(changePoints(points, (_, index) => moved[index], this.drawnFor(points)));
  }

  /** Change fields of the selected points in one operation. */
  change(fields) {
    if (this.chosen.length) this.push(changePoints(this.chosen, fields, this.drawnFor(this.chosen)));
  }

  remove() {
    if (!this.chosen.length) return;
    this.push(removePoints(this.chosen, this.drawnFor(this.chosen)));
    this.select([]);
  }

  /** Segments that were accepted or rejected for these points. */
  drawnFor(points) {
    const ids = new Set(points.map((point) => point.id));
    return [...this.labels.segments.values()].filter((segment) => ids.has(segment.point));
  }

  nudge(frames) {
    const { chosen } = this;
    if (!chosen.length) return;
    const moved = this.lift(chosen, frames, null);
    this.push(changePoints(chosen, (_, index) => moved[index], this.drawnFor(chosen)));
    if (chosen.length === 1 && !this.stage.clock.playing) this.stage.clock.seekFrame(moved[0].frame);
  }

  /** Go to the next or previous point; false if there is none, so that Tab leaves the timeline. */
  walk(direction) {
    const { sorted } = this.labels;
    const [only] = this.selection.size === 1 ? this.chosen : [];
    const here = sorted.indexOf(only);
    const { clock } = this.stage;
    const next = here >= 0 ? here + direction
      : direction > 0 ? lowerBound(sorted, clock.time + 1e-6) : lowerBound(sorted, clock.time) - 1;
    if (!sorted[next]) return false;
    this.goTo(sorted[next], false);
    return true;
  }

  /** Perform a key's action; false if there was nothing to do, so that the page handles the key. */
  act(action, index = 0) {
    if (!this.current) return false;
    this.watched.touch(performance.now() / 1000);
    const { clock } = this.stage;
    const digit = `${(index + 1) % 10}`;
    const label = this.labels.classes.find((name) => this.labels.entry(name).key === digit);
    const actions = {
      stamp: () => label && this.put(label, clock.frame),
      stampEarlier: () => label
        && this.put(label, clock.frames.at(Math.max(clock.frames.time(clock.frame) - REACTION, 0))),
      nextPoint: () => this.walk(1), previousPoint: () => this.walk(-1), remove: () => this.remove(),
      nudgeBack: () => this.nudge(-1), nudgeForward: () => this.nudge(1),
      startBack: () => this.nudgeEdge("start", -1), startForward: () => this.nudgeEdge("start", 1),
      endBack: () => this.nudgeEdge("end", -1), endForward: () => this.nudgeEdge("end", 1),
      selectAll: () => this.select(this.labels.points.keys()), escape: () => this.select([]),
      accept: () => this.settle(false), refuse: () => this.settle(true), flag: () => this.flag(),
      foldScores: () => this.model.fold(), nextMoment: () => this.queue.step(1),
      undo: () => this.push(goBack("undo", this.current)), redo: () => this.push(goBack("redo", this.current)),
      nextVideo: () => this.videos.step(1, (id) => this.turnTo(id)),
      previousVideo: () => this.videos.step(-1, (id) => this.turnTo(id)),
    };
    return actions[action]() ?? true;
  }
}
