/** The chosen run's stored outputs for the desk's video: proposals and score curves, fetched from their routes. */

import { columnOf, fetchArray } from "./arrays.js";
import { keep } from "./storage.js";
import { suggest } from "./suggest.js";

const CURVES = { height: 40 };

export class Model {
  /** url: the data set's models route; onChange(): called when data arrived. */
  constructor({ url, storage, key, onChange }) {
    Object.assign(this, { url, storage, key, onChange, run: storage.getItem(key) ?? "", proposals: [], curves: null,
      note: "", folded: storage.getItem(`${key}.folded`) === "yes" });
  }

  choose(run) {
    this.run = run;
    keep(this.storage, this.key, run);
    this.clear();
    return this.load(this.video);
  }

  fold() {
    this.folded = !this.folded;
    keep(this.storage, `${this.key}.folded`, this.folded ? "yes" : "no");
    this.onChange();
  }

  clear() {
    Object.assign(this, { proposals: [], curves: null, note: "" });
    this.layers = new Map();
  }

  async load(video) {
    this.clear();
    this.video = video;
    const { run } = this;
    this.onChange();
    if (!run || !video) return;
    const answer = await fetch(`${this.url}/${encodeURIComponent(run)}/${encodeURIComponent(video)}`).catch(() => null);
    if (this.video !== video || this.run !== run) return;
    if (!answer?.ok) this.note = answer ? await answer.text() : "No answer from the app.";
    else {
      const { proposals, curves } = await answer.json();
      const scores = curves && await fetchArray(curves.url);
      if (this.video !== video || this.run !== run) return;
      Object.assign(this, { proposals, curves: scores && { ...curves, scores } });
    }
    this.onChange();
  }

  /** The curve layer of a class, or of the background (""); cached. Classes merged after training share a name. */
  layer(label) {
    const columns = [...this.curves?.columns.entries() ?? []].filter(([, name]) => name === label);
    if (!columns.length) return null;
    if (!this.layers.has(label)) {
      const { scores, start, step } = this.curves;
      const values = columns.map(([column]) => columnOf(scores, column))
        .reduce((one, other) => one.map((value, row) => Math.max(value, other[row])));
      this.layers.set(label, { kind: "curve", values, start, step, range: [0, 1] });
    }
    return this.layers.get(label);
  }

  /** Two pinned lanes: the score of the active class, or a hint if there is none, and the background score. */
  lanes(active, colour) {
    if (!this.curves || this.folded) return [];
    const first = active === null ? "Choose a class" : this.layer(active) ? `${active} score` : `${active}: no score`;
    return [[active, first, colour], ["", "Background score", undefined]].map(([label, text, own]) =>
      ({ id: `score ${label}`, label: text, colour: own, points: [], pinned: true, ...CURVES,
        layers: [label === null ? null : this.layer(label)].filter(Boolean) }));
  }

  /** Proposals of a class as layer items. */
  of(label) {
    this.byLabel ??= new Map();
    if (this.byLabelOf !== this.proposals) {
      this.byLabelOf = this.proposals;
      this.byLabel = Map.groupBy(this.proposals, (item) => item[3]);
    }
    return this.byLabel.get(label) ?? [];
  }

  /** The segment that the run suggests for a point; null if there is none or no data. */
  suggest(point, duration) {
    const found = this.run && suggest(point, this.of(point.label), this.layer(point.label), duration);
    return found ? { ...found, video: point.video, label: point.label, point: point.id, model: this.run } : null;
  }
}
