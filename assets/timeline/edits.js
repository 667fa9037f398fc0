/** Makes operations, in the form that hrpro/data/operations.py describes. */

/** A name that nobody else has made; works without a secure context too. */
export function newId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

const value = ({ video, label, time, frame }) => ({ video, label, time, frame });

function operation(kind, video, before, after) {
  return { id: newId(), video, kind, before, after };
}

export function addPoint(video, label, time, frame) {
  return operation("add", video, {}, { [newId()]: { video, label, time, frame } });
}

export function removePoints(points) {
  return operation("delete", points[0].video, Object.fromEntries(points.map((point) => [point.id, value(point)])), {});
}

/** One operation that gives each point the fields of `change(point)`; null if none of them changes anything. */
export function changePoints(points, change) {
  const changed = points.map((point) => [point, { ...value(point), ...change(point) }])
    .filter(([point, next]) => Object.keys(next).some((key) => next[key] !== point[key]));
  if (!changed.length) return null;
  const kind = changed.some(([point, next]) => point.label !== next.label) ? "relabel" : "move";
  return operation(kind, changed[0][0].video, Object.fromEntries(changed.map(([point]) => [point.id, value(point)])),
    Object.fromEntries(changed.map(([point, next]) => [point.id, next])));
}

export function addClass(video, name) {
  return operation("class", video, {}, { [name]: {} });
}

export function markDone(video, done) {
  const marked = { [video]: { done: true } };
  return done ? operation("mark", video, {}, marked) : operation("mark", video, marked, {});
}

/** kind: "undo" or "redo". The server knows which operation it is about, also after a restart. */
export function goBack(kind, video) {
  return { id: newId(), video, kind };
}
