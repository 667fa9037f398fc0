/** The points of one video by id, time and class; cheap to copy, so that pending edits can be applied to a copy. */

import { lowerBound } from "./hit.js";

const FEW = 100;      // up to this many changes are inserted one by one; more are sorted again as a whole

export class View {
  constructor(classes = [], points = []) {
    this.points = new Map(points.map((point) => [point.id, point]));
    this.#arrange(classes);
  }

  copy() {
    const copy = new View();
    copy.points = new Map(this.points);
    copy.sorted = this.sorted.slice();
    copy.lanes = new Map(this.lanes);
    return copy;
  }

  /** changes: id -> the new point, or null if it was removed. */
  change(changes) {
    if (changes.size <= FEW) {
      for (const [id, point] of changes) this.#replace(id, point);
      return;
    }
    for (const [id, point] of changes) {
      if (point) this.points.set(id, point);
      else this.points.delete(id);
    }
    this.#arrange([...this.lanes.keys()]);
  }

  #arrange(classes) {
    this.sorted = [...this.points.values()].sort((one, other) => one.time - other.time);
    this.lanes = new Map(classes.map((name) => [name, []]));
    for (const point of this.sorted) this.#lane(point.label).push(point);
  }

  /** Replaces lanes instead of modifying them, since copies share them. */
  #replace(id, point) {
    const old = this.points.get(id);
    if (old) {
      this.points.delete(id);
      withdraw(this.sorted, old);
      this.lanes.set(old.label, withdraw(this.lanes.get(old.label).slice(), old));
    }
    if (point) {
      this.points.set(id, point);
      insert(this.sorted, point);
      this.lanes.set(point.label, insert(this.#lane(point.label).slice(), point));
    }
  }

  #lane(label) {
    if (!this.lanes.has(label)) this.lanes.set(label, []);
    return this.lanes.get(label);
  }
}

function insert(points, point) {
  points.splice(lowerBound(points, point.time), 0, point);
  return points;
}

function withdraw(points, point) {
  points.splice(points.indexOf(point, lowerBound(points, point.time)), 1);
  return points;
}
