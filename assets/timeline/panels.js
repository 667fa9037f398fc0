/** The lists beside the stage: videos on the left, classes and points on the right. */

import { clockText } from "./axis.js";
import { button, el, icon, List } from "./dom.js";
import { initials } from "./lanes.js";

const STATES = { new: "new", work: "in work", done: "done" };

/** A video is done when someone says so: having points is not being labelled completely. */
export function stateOf(labels, video) {
  return labels.isDone(video) ? "done" : labels.count(video) ? "work" : "new";
}

/** The text without regard to case and accents, for filters. */
export function plain(text) {
  return text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
}

export class VideoPanel {
  /** onOpen(id): a video was chosen. */
  constructor({ labels, onOpen }) {
    Object.assign(this, { labels, videos: [], current: null });
    this.filter = el("input", { type: "search", placeholder: "Filter videos", "aria-label": "Filter videos",
      oninput: () => this.refresh() });
    this.state = el("select", { "aria-label": "State", onchange: () => this.refresh() },
      el("option", { value: "" }, "all"),
      ...Object.entries(STATES).map(([value, text]) => el("option", { value }, text)));
    this.summary = el("p", { class: "summary" });
    this.list = new List({
      rowHeight: 32, label: "Videos", key: (video) => video.id,
      draw: (video) => {
        const state = stateOf(labels, video.id);
        return el("button", { type: "button", class: `video ${state}`, title: video.id, onclick: () => onOpen(video.id),
          "aria-current": video.id === this.current ? "true" : null,
          "aria-label": `${video.id}, ${STATES[state]}, ${pointsText(labels.count(video.id))}` },
        icon(state), el("span", { class: "name" }, video.id),
        el("span", { class: "count" }, `${labels.count(video.id)}`));
      },
    });
    this.root = el("aside", { class: "panel videos", "aria-label": "Videos" },
      el("div", { class: "row" }, this.filter, this.state), this.summary, this.list.root,
      el("div", { class: "row" },
        button("Previous video (P)", "Previous", () => this.step(-1, onOpen)),
        button("Next video (N)", "Next", () => this.step(1, onOpen))));
  }

  get shown() {
    const wanted = plain(this.filter.value);
    const state = this.state.value;
    return this.videos.filter((video) => (video.plain ??= plain(video.id)).includes(wanted)
      && (!state || stateOf(this.labels, video.id) === state));
  }

  step(direction, onOpen) {
    const shown = this.shown;
    const index = shown.findIndex((video) => video.id === this.current);
    const next = index < 0 ? shown[0] : shown[index + direction];
    if (next) onOpen(next.id);
  }

  refresh() {
    const done = this.videos.filter((video) => this.labels.isDone(video.id)).length;
    const points = this.videos.reduce((sum, video) => sum + this.labels.count(video.id), 0);
    this.summary.textContent = `${done} of ${this.videos.length} done, ${pointsText(points)}`;
    this.list.set(this.shown);
  }
}

export class ClassPanel {
  /** onChoose(name): a class was chosen; onAdd(name): a new one was named. */
  constructor({ labels, colourOf, onChoose, onAdd }) {
    Object.assign(this, { labels, active: null });
    this.list = new List({
      rowHeight: 28, label: "Classes", key: (entry) => entry.name,
      draw: ({ name, index, count }) => el("button", { type: "button", class: "class", title: name,
        "aria-pressed": name === this.active ? "true" : "false", onclick: () => onChoose(name),
        "aria-label": `${name}, ${index < 10 ? `key ${hotkey(index)}, ` : ""}${pointsText(count)}` },
      el("span", { class: "swatch", style: `background:${colourOf(index)}` }), el("kbd", {}, hotkey(index)),
      el("span", { class: "name" }, name), el("span", { class: "count" }, `${count}`)),
    });
    this.name = el("input", { type: "text", placeholder: "New class", "aria-label": "New class", maxlength: "200" });
    const form = el("form", { class: "row", onsubmit: (event) => {
      event.preventDefault();
      const name = this.name.value.trim();
      if (name) onAdd(name);
      this.name.value = "";
    } }, this.name, el("button", { type: "submit", title: "Add the class" }, "Add"));
    this.root = el("section", { class: "classes", "aria-label": "Classes" },
      el("h3", {}, "Classes"), this.list.root, form);
  }

  refresh() {
    this.list.set(this.labels.classes.map((name, index) =>
      ({ name, index, count: this.labels.lanes.get(name)?.length ?? 0 })));
  }
}

function pointsText(count) {
  return count === 1 ? "1 point" : `${count} points`;
}

export function hotkey(index) {
  return index < 10 ? `${(index + 1) % 10}` : "";
}

const ORDERS = {
  time: (one, other) => one.time - other.time,
  label: (one, other) => one.label.localeCompare(other.label) || one.time - other.time,
  who: (one, other) => one.who.localeCompare(other.who) || one.time - other.time,
};

export class PointPanel {
  /** onPick(point, more), onRelabel(name), onRemove(): what was done with the selection. */
  constructor({ labels, colourOf, selection, onPick, onRelabel, onRemove }) {
    Object.assign(this, { labels, selection, onRelabel });
    this.order = el("select", { "aria-label": "Sort points by", onchange: () => this.refresh() },
      el("option", { value: "time" }, "by time"), el("option", { value: "label" }, "by class"),
      el("option", { value: "who" }, "by person"));
    this.title = el("h3", {});
    this.relabel = el("select", { "aria-label": "Relabel the selection", onchange: () => {
      onRelabel(this.relabel.value);
      this.relabel.value = "";
    } });
    this.bar = el("div", { class: "row selection" }, this.relabel,
      button("Delete the selection (Del)", "Delete", onRemove));
    this.list = new List({
      rowHeight: 28, label: "Points", key: (point) => point.id,
      draw: (point) => el("button", { type: "button", class: "point", onclick: (event) => onPick(point, event.shiftKey),
        "aria-pressed": selection.has(point.id) ? "true" : "false",
        title: `${point.label} at ${clockText(point.time)}, frame ${point.frame}, by ${point.who || "you"}` },
      el("span", { class: "tag", style: `--class:${colourOf(labels.classes.indexOf(point.label))}` },
        initials(point.label)),
      el("span", { class: "time" }, clockText(point.time)), el("span", { class: "name" }, point.label),
      el("span", { class: "who" }, point.waiting ? "…" : point.who)),
    });
    this.root = el("section", { class: "points", "aria-label": "Points of this video" },
      el("div", { class: "row" }, this.title, this.order), this.bar, this.list.root);
  }

  refresh() {
    const { sorted, classes } = this.labels;
    this.title.textContent = pointsText(sorted.length);
    this.list.set(this.order.value === "time" ? sorted : [...sorted].sort(ORDERS[this.order.value]));
    this.bar.hidden = !this.selection.size;
    if (classes.join("\n") !== this.offered) {
      this.offered = classes.join("\n");
      const options = classes.map((name) => el("option", { value: name }, name));
      this.relabel.replaceChildren(el("option", { value: "" }), ...options);
    }
    this.relabel.options[0].textContent = `Relabel ${this.selection.size} …`;
  }
}
