/** Hit testing: what is under the pointer. */

/** Index of the first entry of a sorted array with `time(entry) >= seconds`. */
export function lowerBound(entries, seconds, time = (entry) => entry.time) {
  let low = 0;
  let high = entries.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (time(entries[middle]) < seconds) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The point of a sorted lane nearest to x, at most `reach` pixels away; null if there is none. */
export function nearestPoint(points, axis, x, reach = 7) {
  const index = lowerBound(points, axis.time(x));
  let found = null;
  for (const point of [points[index - 1], points[index]]) {
    const away = point ? Math.abs(axis.x(point.time) - x) : Infinity;
    if (away <= reach && (!found || away < Math.abs(axis.x(found.time) - x))) found = point;
  }
  return found;
}

/** Which edge of a segment {start, end} is at x: "start", "end", or null. */
export function edgeAt({ start, end }, axis, x, reach = 8) {
  const away = { start: Math.abs(axis.x(start) - x), end: Math.abs(axis.x(end) - x) };
  const nearest = away.start < away.end ? "start" : "end";
  return away[nearest] <= reach ? nearest : null;
}

/** The laid-out row (see lanes.js) at y; null if there is none. */
export function rowAt(rows, y) {
  return rows.find((row) => y >= row.y && y < row.y + row.height) ?? null;
}

/** Which part of the overview's zoom window is at x: "start" or "end" edge, "inside", or "outside". */
export function windowPart(overview, axis, x, reach = 6) {
  const start = overview.x(axis.start);
  const end = overview.x(axis.end);
  if (Math.abs(x - start) <= reach) return "start";
  if (Math.abs(x - end) <= reach) return "end";
  return x > start && x < end ? "inside" : "outside";
}

/** The points of the lanes that a rectangle touches. */
export function pointsInBox(rows, axis, box) {
  const [from, to] = [axis.time(Math.min(box.x0, box.x1)), axis.time(Math.max(box.x0, box.x1))];
  const [top, bottom] = [Math.min(box.y0, box.y1), Math.max(box.y0, box.y1)];
  return rows.filter((row) => row.lane.editable && row.y < bottom && row.y + row.height > top)
    .flatMap((row) => row.lane.points.slice(lowerBound(row.lane.points, from), lowerBound(row.lane.points, to)));
}
