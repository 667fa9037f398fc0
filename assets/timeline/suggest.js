/** The segment that a model suggests for a point, from the run's stored outputs, and corrections of its edges. */

const LEAST = .05;      // score of the class at the point, below which there is no suggestion

/**
 * A segment's start and end after one edge was moved to `seconds`: within the video, at least a frame apart, and around
 * the segment's point, which may be gone.
 */
export function withEdge({ start, end }, edge, seconds, point, { fps, duration }) {
  const at = point?.time ?? seconds;
  return edge === "start" ? { start: Math.min(Math.max(seconds, 0), end - 1 / fps, at), end }
    : { start, end: Math.max(Math.min(seconds, duration), start + 1 / fps, at) };
}

/**
 * The best proposal around a point, else the stretch around it where the score stays at half its value at the point or
 * more: {start, end, from: "proposal" | "score"}; null if there is neither. point: {time, label}; proposals: [start,
 * end, score, label] of all classes; curve: {values, start, step}, the class's score per snippet, or null.
 */
export function suggest(point, proposals, curve, duration) {
  const round = proposals.filter(([start, end, , label]) =>
    label === point.label && start <= point.time && point.time <= end);
  if (round.length) {
    const [start, end] = round.reduce((best, other) => (other[2] > best[2] ? other : best));
    return { start: Math.max(start, 0), end: Math.min(end, duration), from: "proposal" };
  }
  if (!curve?.values?.length) return null;
  const { values, step } = curve;
  const row = Math.min(Math.max(Math.round((point.time - curve.start) / step), 0), values.length - 1);
  if (values[row] < LEAST) return null;
  let [first, last] = [row, row];
  while (first > 0 && values[first - 1] >= values[row] / 2) first -= 1;
  while (last < values.length - 1 && values[last + 1] >= values[row] / 2) last += 1;
  const edge = (index) => curve.start + (index - .5) * step;
  return { start: Math.max(Math.min(edge(first), point.time), 0),
    end: Math.min(Math.max(edge(last + 1), point.time), duration), from: "score" };
}
