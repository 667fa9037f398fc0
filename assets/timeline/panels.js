/** The lists beside the stage: videos on the left, classes and points on the right. */

import { clockText } from "./axis.js";
import { button, el, icon, List, put } from "./dom.js";
import { initials } from "./lanes.js";

const STATES = { new: "new", work: "in progress", done: "complete" };
const SPLITS = { train: "train", test: "test", "train/test": "both", "": "none" };

/** Whether points in a video are used for training, that is whether it is in the training split. */
export function trains(video) {
  return video.split.includes("train");
}

/** A video is complete only if it was marked so: having points does not mean that every action has one. */
export function stateOf(labels, video) {
  return labels.isDone(video) ? "done" : labels.count(video) ? "work" : "new";
}

/** Text without case and accents, for filters. */
export function plain(text) {
  return text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
}

export class VideoPanel {
  #videos = [];

  /** onOpen(id): called when a video was chosen. */
  constructor({ labels, onOpen }) {
    Object.assign(this, { labels, current: null });
    this.filter = el("input", { type: "search", placeholder: "Filter videos", "aria-label": "Filter videos",
      oninput: () => this.refresh() });
    this.state = el("select", { "aria-label": "State", onchange: () => this.refresh() },
      el("option", { value: "" }, "Any state"),
      ...Object.entries(STATES).map(([value, text]) => el("option", { value }, text)));
    this.split = el("select", { "aria-label": "Split", onchange: () => this.refresh() },
      ...[["", "Any split"], ["train", "train"], ["test", "test"], ["none", "none"]].map(([value, text]) =>
        el("option", { value }, text)));
    this.summary = el("p", { class: "summary" });
    this.list = new List({
      rowHeight: 32, label: "Videos", key: (video) => video.id,
      draw: (video) => {
        const state = stateOf(labels, video.id);
        const about = `${video.id}, ${STATES[state]}, ${pointsText(labels.count(video.id))}, `
          + `split: ${SPLITS[video.split]}${trains(video) ? "" : " (points here are not used for training)"}`;
        return el("button", { type: "button", class: `video ${state}`, title: about, "aria-label": about,
          onclick: () => onOpen(video.id), "aria-current": video.id === this.current ? "true" : null },
        icon(state), el("span", { class: "name" }, video.id), el("span", { class: "split" }, SPLITS[video.split]),
        el("span", { class: "count" }, `${labels.count(video.id)}`));
      },
    });
    this.root = el("aside", { class: "panel videos", "aria-label": "Videos" },
      el("div", { class: "row" }, this.filter), el("div", { class: "row" }, this.state, this.split), this.summary,
      this.list.root,
      el("div", { class: "row" },
        button("Previous video (P)", "Previous", () => this.step(-1, onOpen)),
        button("Next video (N)", "Next", () => this.step(1, onOpen))));
  }

  /** All videos, training videos first. */
  get videos() {
    return this.#videos;
  }

  set videos(videos) {
    this.#videos = [...videos].sort((one, other) => trains(other) - trains(one));
  }

  get shown() {
    const wanted = plain(this.filter.value);
    const state = this.state.value;
    const split = this.split.value;
    return this.videos.filter((video) => (video.plain ??= plain(video.id)).includes(wanted)
      && (!state || stateOf(this.labels, video.id) === state)
      && (!split || (split === "none" ? !video.split : video.split.includes(split))));
  }

  /** Go to the next or previous shown video, also if the current one is not shown. */
  step(direction, onOpen) {
    const shown = new Set(this.shown);
    const here = this.videos.findIndex((video) => video.id === this.current);
    const next = direction > 0 ? this.videos.slice(here + 1).find((video) => shown.has(video))
      : this.videos.slice(0, Math.max(here, 0)).findLast((video) => shown.has(video));
    if (next) onOpen(next.id);
  }

  refresh() {
    const done = this.videos.filter((video) => this.labels.isDone(video.id)).length;
    const points = this.videos.reduce((sum, video) => sum + this.labels.count(video.id), 0);
    put(this.summary, `${done} of ${this.videos.length} complete · ${pointsText(points)}`);
    this.list.set(this.shown);
  }
}

export class ClassPanel {
  /** Callbacks: onChoose(name) for a chosen class, onAdd(name) for a new one, onEdit(name) for a class's pencil. */
  constructor({ labels, colourOf, onChoose, onAdd, onEdit }) {
    Object.assign(this, { labels, active: null, former: null });
    this.list = new List({
      rowHeight: 28, label: "Classes", key: (entry) => entry.name,
      draw: ({ name, key, here }) => el("div", { class: "class" },
        el("button", { type: "button", title: name, "aria-pressed": name === this.active ? "true" : "false",
          onclick: () => onChoose(name), "aria-label": `${name}, ${key ? `key ${key}, ` : ""}${pointsText(here)}` },
        el("span", { class: "swatch", style: `background:${colourOf(name)}` }), el("kbd", {}, key),
        el("span", { class: "name" }, name), el("span", { class: "count" }, `${here}`)),
        button(`Change class ${name}`, icon("pencil"), () => onEdit(name), { class: "edit" })),
    });
    this.filter = el("input", { type: "search", placeholder: "Find a class", "aria-label": "Find a class",
      oninput: () => this.refresh(), onkeydown: (event) => {
        const [first] = this.shown;
        if (event.key === "Enter" && !event.isComposing && first) onChoose(first);
      } });
    this.name = el("input", { type: "text", placeholder: "New class", "aria-label": "New class", maxlength: "200" });
    const form = el("form", { class: "row", onsubmit: (event) => {
      event.preventDefault();
      const name = this.name.value.trim();
      if (name) onAdd(name);
      this.name.value = "";
    } }, this.name, el("button", { type: "submit", title: "Add the class" }, "Add"));
    this.root = el("section", { class: "classes", "aria-label": "Classes" },
      el("div", { class: "row head" }, el("h3", {}, "Classes"), this.filter), this.list.root, form);
  }

  get shown() {
    const wanted = plain(this.filter.value);
    return this.labels.classes.filter((name) => plain(name).includes(wanted));
  }

  /** If the active class is gone: back to its name before a rename that was refused or undone, or to none. */
  settle() {
    const { lanes } = this.labels;
    if (this.active !== null && !lanes.has(this.active)) this.active = lanes.has(this.former) ? this.former : null;
  }

  refresh() {
    this.filter.hidden = this.labels.classes.length <= 10 && !this.filter.value;
    this.list.set(this.shown.map((name) =>
      ({ name, key: this.labels.entry(name).key, here: this.labels.lanes.get(name)?.length ?? 0 })));
  }
}

function pointsText(count) {
  return count === 1 ? "1 point" : `${count} points`;
}

/** What the chosen model suggests to label next, in training videos or in all videos. */
export class QueuePanel {
  /** model: Model; onGo(moment): called when a suggestion was chosen. */
  constructor({ model, colourOf, onGo }) {
    Object.assign(this, { model, onGo, moments: [], at: -1 });
    this.title = el("h3", {});
    this.all = el("input", { type: "checkbox", onchange: () => this.load() });
    this.list = new List({
      rowHeight: 40, label: "Suggestions", key: (moment) => moment.id,
      draw: (moment) => el("button", { type: "button", class: "moment", onclick: () => this.go(moment),
        "aria-current": this.moments[this.at]?.id === moment.id ? "true" : null,
        title: `${moment.label} in ${moment.video} at ${clockText(moment.time)}: ${moment.why}` },
      el("span", { class: "tag", style: `--class:${colourOf(moment.label)}` }, initials(moment.label)),
      el("span", { class: "name" }, moment.why, el("small", {}, `${clockText(moment.time, 0)} ${moment.video}`))),
    });
    this.hint = el("p", { class: "summary hint" });
    this.list.root.append(this.hint);
    this.root = el("section", { class: "queue", "aria-label": "What to label next" },
      el("div", { class: "row head" }, this.title,
        el("label", { title: "Also suggest videos outside the training split, where points are not used for training" },
          this.all, "All videos"),
        button("Refresh", icon("redo"), () => this.load())), this.list.root);
  }

  async load() {
    const { run, url } = this.model;
    if (!run) {
      Object.assign(this, { moments: [], at: -1 });
      this.#say("Suggestions");
      return;
    }
    const all = this.all.checked;
    const answer = await fetch(`${url}/${encodeURIComponent(run)}${all ? "?all" : ""}`).catch(() => null);
    if (this.model.run !== run || this.all.checked !== all) return;
    const said = answer?.ok ? await answer.json() : { count: 0, moments: [] };
    const [here, before] = [this.moments[this.at]?.id, this.at];
    this.moments = said.moments.map((moment) => ({ ...moment, id: JSON.stringify(Object.values(moment)) }));
    this.at = this.moments.findIndex((moment) => moment.id === here);
    if (here && this.at < 0) this.at = Math.min(before, this.moments.length) - 1;       // settled: go on after it
    this.#say(answer?.ok ? (said.count === 1 ? "1 suggestion" : `${said.count} suggestions`)
      : answer ? await answer.text() : "No answer");
  }

  #say(title) {
    this.title.textContent = this.title.title = title;
    this.hint.textContent = this.moments.length ? "" : !this.model.run ? "Choose a model to see what to label next."
      : this.all.checked ? "Nothing to label or check." : "Nothing to label or check in the training videos.";
    this.list.set(this.moments);
  }

  go(moment) {
    this.at = this.moments.findIndex(({ id }) => id === moment.id);       // a row may have one of an earlier list
    this.list.render();
    this.list.reveal(moment.id);
    this.onGo(moment);
  }

  /** Go `direction` suggestions on, or to the first; false if there is none. */
  step(direction) {
    const next = this.moments[this.at + direction];
    if (!next) return false;
    this.go(next);
    return true;
  }
}

const ORDERS = {
  time: (one, other) => one.time - other.time,
  label: (one, other) => one.label.localeCompare(other.label) || one.time - other.time,
  who: (one, other) => one.who.localeCompare(other.who) || one.time - other.time,
};

export class PointPanel {
  #followed = null;

  /** Callbacks: onPick(point, more); for the selection onRelabel(name), onRemove(), onFlag(); onFilter() on `hidden`. */
  constructor({ labels, colourOf, selection, onPick, onRelabel, onRemove, onFlag, onFilter }) {
    Object.assign(this, { labels, selection, onRelabel });
    this.order = el("select", { "aria-label": "Sort points by", onchange: () => this.refresh() },
      el("option", { value: "time" }, "By time"), el("option", { value: "label" }, "By class"),
      el("option", { value: "who" }, "By annotator"));
    this.whose = el("select", { "aria-label": "Whose points", onchange: () => onFilter() });
    this.title = el("h3", {});
    this.relabel = el("select", { "aria-label": "Relabel the selection", onchange: () => {
      onRelabel(this.relabel.value);
      this.relabel.value = "";
    } });
    this.bar = el("div", { class: "row selection" }, this.relabel,
      button("Flag for review, with a note (D)", icon("flag"), onFlag),
      button("Delete the selection (Del)", "Delete", onRemove));
    this.list = new List({
      rowHeight: 28, label: "Points", key: (point) => point.id,
      draw: (point) => el("button", { type: "button", class: "point", onclick: (event) => onPick(point, event.shiftKey),
        "aria-pressed": selection.has(point.id) ? "true" : "false",
        title: `${point.label} at ${clockText(point.time)}, frame ${point.frame}, by ${point.who || "you"}`
          + `${point.doubt ? `. For review: ${point.doubt}` : ""}` },
      el("span", { class: "tag", style: `--class:${colourOf(point.label)}` }, initials(point.label)),
      el("span", { class: "time" }, clockText(point.time)), el("span", { class: "name" }, point.label),
      point.doubt ? icon("flag") : null,
      el("span", { class: "who" }, point.waiting ? "…" : point.who)),
    });
    this.root = el("section", { class: "points", "aria-label": "Points of this video" },
      this.title, el("div", { class: "row" }, this.order, this.whose), this.bar, this.list.root);
  }

  /** Predicate for points hidden by the annotator or flag filter; null if there is none, or no point by the person. */
  get hidden() {
    const chosen = this.whose.value;
    const theirs = (point) => `by ${point.who}` === chosen;
    if (chosen === "flagged") return (point) => !point.doubt;
    return this.labels.sorted.some(theirs) ? (point) => !theirs(point) && !point.waiting : null;
  }

  refresh() {
    const { sorted, classes } = this.labels;
    const people = [...new Set(sorted.map((point) => point.who).filter(Boolean))].sort();
    const flagged = sorted.some((point) => point.doubt);
    this.#offer(this.whose, [["", "All annotators"], ...(flagged || this.whose.value === "flagged"
      ? [["flagged", "Flagged"]] : []), ...people.map((name) => [`by ${name}`, name])]);
    const { hidden } = this;
    const shown = hidden ? sorted.filter((point) => !hidden(point)) : sorted;
    put(this.title, hidden ? `${shown.length} of ${pointsText(sorted.length)}` : pointsText(sorted.length));
    this.list.set(this.order.value === "time" ? shown : [...shown].sort(ORDERS[this.order.value]));
    for (const control of this.bar.children) control.disabled = !this.selection.size;
    this.#offer(this.relabel, [["", ""], ...classes.map((name) => [name, name])]);
    put(this.relabel.options[0], this.selection.size ? `Relabel ${this.selection.size} …` : "Relabel …");
    this.#follow();
  }

  /** If one point is selected, scroll it into view when it was just selected, changed or sorted elsewhere. */
  #follow() {
    const [id] = this.selection;
    const point = this.selection.size === 1 ? this.labels.points.get(id) : null;
    const place = point && `${id} ${point.time} ${point.label} ${this.order.value} ${this.whose.value}`;
    if (place && place !== this.#followed) this.list.reveal(id);
    this.#followed = place;
  }

  /** Set options [value, text] of a select box if they changed. */
  #offer(box, options) {
    const offered = JSON.stringify(options);
    if (box.offered === offered) return;
    const { value } = box;
    box.offered = offered;
    box.replaceChildren(...options.map(([value_, text]) => el("option", { value: value_ }, text)));
    box.value = options.some(([known]) => known === value) ? value : "";
  }
}
