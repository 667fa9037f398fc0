/** The points of one video by id, by time and by class; a copy costs little, so that edits can be tried on it. */

import { lowerBound } from "./hit.js";

export class View {
  constructor(classes = [], points = []) {
    this.points = new Map(points.map((point) => [point.id, point]));
    this.sorted = [...points].sort((one, other) => one.time - other.time);
    this.lanes = new Map(classes.map((name) => [name, []]));
    for (const point of this.sorted) this.#lane(point.label).push(point);
  }

  copy() {
    const copy = new View();
    copy.points = new Map(this.points);
    copy.sorted = this.sorted.slice();
    copy.lanes = new Map(this.lanes);
    return copy;
  }

  put(point) {
    this.remove(point.id);
    this.points.set(point.id, point);
    insert(this.sorted, point);
    this.lanes.set(point.label, insert(this.#lane(point.label).slice(), point));
  }

  remove(id) {
    const point = this.points.get(id);
    if (!point) return;
    this.points.delete(id);
    withdraw(this.sorted, point);
    this.lanes.set(point.label, withdraw(this.lanes.get(point.label).slice(), point));
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
