/** Creates operations in the form that hrpro/labels/operations.py describes. */

/** A unique id; also works without a secure context. */
export function newId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The table of hrpro/labels/operations.py that a value of `before` or `after` belongs to. */
export function tableOf(value) {
  return "frame" in value ? "points" : "start" in value ? "segments" : "done" in value ? "videos" : "classes";
}

const KEPT = ["video", "label", "time", "frame", "doubt", "start", "end", "point", "model", "refused"];

/** The fields of a point or segment that the log keeps. */
const value = (label) =>
  Object.fromEntries(KEPT.filter((key) => label[key] !== undefined).map((key) => [key, label[key]]));
const values = (labels) => Object.fromEntries(labels.map((label) => [label.id, value(label)]));

function operation(kind, video, before, after) {
  return { id: newId(), video, kind, before, after };
}

export function addPoint(video, label, time, frame) {
  return operation("add", video, {}, { [newId()]: { video, label, time, frame } });
}

/** segments: those of the points, which are deleted with them. */
export function removePoints(points, segments = []) {
  return operation("delete", points[0].video, values([...points, ...segments]), {});
}

/**
 * One operation that sets the fields `change(point, index)` on each point; null if nothing changes. Undefined fields
 * are removed. segments: those of the points, which take on the points' classes and are removed where a point leaves them.
 */
export function changePoints(points, change, segments = []) {
  const changed = points.map((point, index) => [point, value({ ...point, ...change(point, index) })])
    .filter(([point, next]) => KEPT.some((key) => next[key] !== point[key]));
  if (!changed.length) return null;
  const nextOf = new Map(changed.map(([point, next]) => [point.id, next]));
  const left = [];
  for (const segment of segments) {
    const { time, label } = nextOf.get(segment.point) ?? segment;
    if (time < segment.start || time > segment.end) left.push(segment);
    else if (label !== segment.label) changed.push([segment, value({ ...segment, label })]);
  }
  const kind = changed.some(([point, next]) => point.label !== next.label) ? "relabel"
    : changed.some(([point, next]) => point.doubt !== next.doubt) ? "flag" : "move";
  return operation(kind, points[0].video, values([...changed.map(([point]) => point), ...left]),
    Object.fromEntries(changed.map(([point, next]) => [point.id, next])));
}

/** Accept or reject the segment that a model suggests for a point; may reverse an earlier decision. */
export function decide(segment, refused) {
  const next = value({ ...segment, refused: refused || undefined });
  const before = segment.id ? values([segment]) : {};
  return operation(refused ? "refuse" : "accept", segment.video, before, { [segment.id ?? newId()]: next });
}

/** Change the edges of an accepted segment. */
export function moveSegment(segment, start, end) {
  return operation("move", segment.video, values([segment]), { [segment.id]: { ...value(segment), start, end } });
}

export function addClass(video, name) {
  return operation("class", video, {}, { [name]: {} });
}

export function removeClass(video, { name, style }) {
  return operation("class", video, { [name]: style }, {});
}

/** entries: classes {name, style}; change(entry): fields of its new style, undefined to remove one. */
export function styleClasses(video, entries, change) {
  const before = {};
  const after = {};
  for (const entry of entries) {
    const style = JSON.parse(JSON.stringify({ ...entry.style, ...change(entry) }));
    if (JSON.stringify(style) === JSON.stringify(entry.style)) continue;
    before[entry.name] = entry.style;
    after[entry.name] = style;
  }
  return Object.keys(after).length ? operation("class", video, before, after) : null;
}

/** The server relabels the points of all videos. */
export function renameClass(video, { name, style }, next) {
  return operation("rename", video, { [name]: style }, { [next]: style });
}

export function mergeClass(video, { name, style }, into) {
  return operation("merge", video, { [name]: style, [into.name]: into.style }, { [into.name]: into.style });
}

export function markDone(video, done) {
  const marked = { [video]: { done: true } };
  return done ? operation("mark", video, {}, marked) : operation("mark", video, marked, {});
}

/** kind: "undo" or "redo". The server knows which operation is meant, also after a restart. */
export function goBack(kind, video) {
  return { id: newId(), video, kind };
}
