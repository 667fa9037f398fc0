/** Pure drawing of a scene that stage.js assembles. */

import { clockText, ticks } from "./axis.js";
import { lowerBound } from "./hit.js";
import { GUTTER } from "./lanes.js";

const DIAMOND = 6;

/** Paint everything except the playhead. */
export function paint(context, scene) {
  const { width, height, theme } = scene;
  context.clearRect(0, 0, width, height);
  context.font = `12px ${theme.font}`;
  context.textBaseline = "middle";
  paintLanes(context, scene);
  context.fillStyle = theme.ground;
  context.fillRect(0, 0, width, scene.bands.top);
  paintOverview(context, scene);
  paintRuler(context, scene);
  if (scene.bands.film.height) paintFilm(context, scene);
  paintScrollbar(context, scene);
  if (scene.box) paintBox(context, scene);
}

function paintLanes(context, scene) {
  const { axis, width, height, theme, bands } = scene;
  context.save();
  context.beginPath();
  context.rect(0, bands.top, width, height - bands.top);
  context.clip();
  for (const row of scene.rows.toReversed()) {          // pinned rows come first and must be painted last
    const { lane, y } = row;
    context.fillStyle = lane.id === scene.activeLane ? theme.soft : theme.ground;
    context.fillRect(0, y, width, row.height);
    context.fillStyle = theme.line;
    context.fillRect(0, y + row.height - 1, width, 1);
    context.save();
    context.beginPath();
    context.rect(axis.left, y, axis.width, row.height);
    context.clip();
    for (const layer of lane.layers) paintLayer(context, scene, row, layer);
    if (lane.label === scene.suggestion?.label && lane.editable) paintSuggestion(context, scene, row);
    if (lane.points) paintPoints(context, scene, row, lane.points);
    context.restore();
    paintLaneName(context, scene, row);
  }
  context.restore();
}

function paintLaneName(context, { theme }, { lane, y, height }) {
  const middle = y + Math.min(height, 22) / 2;
  context.fillStyle = lane.colour ?? theme.text;
  context.fillRect(0, y + 1, 4, height - 3);
  context.fillStyle = theme.faint;
  context.textAlign = "left";
  if (lane.key) context.fillText(lane.key, 10, middle);
  context.fillStyle = theme.text;
  context.fillText(fitText(context, lane.label, GUTTER - 34), lane.key === undefined ? 10 : 24, middle);
}

function fitText(context, text, room) {
  if (context.measureText(text).width <= room) return text;
  const letters = [...text];
  let low = 0;
  let high = letters.length;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (context.measureText(`${letters.slice(0, middle).join("")}…`).width <= room) low = middle;
    else high = middle - 1;
  }
  return `${letters.slice(0, low).join("")}…`;
}

function paintLayer(context, scene, row, layer) {
  const colour = layer.colour ?? row.lane.colour ?? scene.theme.text;
  if (layer.kind === "points") {
    paintDots(context, scene, row, layer.items, colour);
  } else if (layer.kind === "segments") {
    for (const item of layer.items) paintSegment(context, scene, row, item, layer.style, colour);
  } else if (layer.kind === "curve" && layer.values) {
    paintCurve(context, scene, row, layer, colour);
  }
}

function paintSegment(context, { axis }, { y, height }, [start, end, score = 1], style, colour) {
  if (end < axis.start || start > axis.end) return;
  const left = Math.max(axis.x(start), axis.left - 2);
  const right = Math.min(axis.x(end), axis.left + axis.width + 2);
  const [top, tall, wide] = [y + 3, height - 7, Math.max(right - left, 1.5)];
  context.globalAlpha = .25 + .75 * Math.min(Math.max(score, 0), 1);
  if (style === "hatched") {
    context.save();
    context.beginPath();
    context.rect(left, top, wide, tall);
    context.clip();
    context.strokeStyle = colour;
    context.lineWidth = 1.5;
    context.beginPath();
    for (let x = left - tall - (left % 6); x < left + wide; x += 6) {
      context.moveTo(x, top + tall);
      context.lineTo(x + tall, top);
    }
    context.stroke();
    context.restore();
  } else {
    context.fillStyle = colour;
    context.globalAlpha *= .45;
    context.fillRect(left, top, wide, tall);
    context.globalAlpha /= .45;
    // The bar distinguishes an accepted segment from an annotated one.
    if (style === "accepted") context.fillRect(left, top + tall - 3, wide, 3);
  }
  context.strokeStyle = colour;
  context.lineWidth = 1;
  context.strokeRect(left + .5, top + .5, Math.max(wide - 1, .5), tall - 1);
  context.globalAlpha = 1;
}

/** The segment that the model suggests or that is being corrected: a dashed frame with handles at its edges. */
function paintSuggestion(context, { axis, theme, suggestion }, { y, height }) {
  const [left, right] = [axis.x(suggestion.start), axis.x(suggestion.end)];
  context.strokeStyle = theme.accent;
  context.fillStyle = theme.accent;
  context.lineWidth = 2;
  context.setLineDash([5, 3]);
  context.strokeRect(left, y + 2, Math.max(right - left, 2), height - 5);
  context.setLineDash([]);
  for (const x of [left, right]) context.fillRect(x - 2, y + 2, 4, height - 5);
}

/** Draws the minimum and maximum under each pixel, so that no peak is lost at any zoom. */
function paintCurve(context, { axis }, { y, height }, { values, start, step, range = [0, 1] }, colour) {
  const level = (value) => y + height - 3 - ((value - range[0]) / (range[1] - range[0])) * (height - 6);
  const first = Math.max(0, Math.floor((axis.start - start) / step) - 1);
  const last = Math.min(values.length - 1, Math.ceil((axis.end - start) / step) + 1);
  context.strokeStyle = colour;
  context.lineWidth = 1.5;
  context.beginPath();
  let column = null;
  let [low, high] = [0, 0];
  for (let index = first; index <= last; index += 1) {
    const x = axis.x(start + index * step);
    const value = values[index];
    if (column !== null && Math.round(x) === column) {
      [low, high] = [Math.min(low, value), Math.max(high, value)];
      continue;
    }
    if (column !== null && low !== high) {
      context.lineTo(column, level(high));
      context.lineTo(column, level(low));
    }
    [low, high] = [value, value];
    column = Math.round(x);
    context.lineTo(x, level(value));
  }
  context.stroke();
}

function diamond(context, x, y, size) {
  context.beginPath();
  context.moveTo(x, y - size);
  context.lineTo(x + size, y);
  context.lineTo(x, y + size);
  context.lineTo(x - size, y);
  context.closePath();
}

/** Points of a read-only layer, [seconds, text] in any order. */
function paintDots(context, { axis, theme }, { y, height }, items, colour) {
  context.fillStyle = colour;
  context.strokeStyle = theme.ground;
  for (const [seconds] of items) {
    if (seconds < axis.start || seconds > axis.end) continue;
    diamond(context, axis.x(seconds), y + (height - 1) / 2, DIAMOND);
    context.fill();
    context.stroke();
  }
}

/** Points of an editable lane: those in view, at most one per pixel, selected ones on top. */
function paintPoints(context, scene, row, points) {
  const { axis, theme, selection } = scene;
  const margin = axis.seconds(DIAMOND + 2);
  const from = lowerBound(points, axis.start - margin);
  const y = row.y + (row.height - 1) / 2;
  const last = { true: -Infinity, false: -Infinity };
  const chosen = [];
  for (let index = from; index < points.length && points[index].time <= axis.end + margin; index += 1) {
    const point = points[index];
    const picked = selection.has(point.id);
    const x = axis.x(point.time);
    if (x - last[picked] < 1) continue;
    last[picked] = x;
    if (picked) {
      chosen.push(point);
      continue;
    }
    const dim = scene.dimmed?.(point);
    diamond(context, x, y, DIAMOND);
    context.fillStyle = point.doubt ? theme.ground : row.lane.colour;
    context.globalAlpha = dim ? .2 : point.waiting ? .55 : 1;
    context.fill();
    context.strokeStyle = point.doubt ? row.lane.colour : theme.ground;
    context.lineWidth = point.doubt ? 2 : 1;
    context.stroke();
    context.globalAlpha = 1;
  }
  for (const point of chosen) {
    if (scene.drag?.ids.has(point.id)) continue;
    paintChosen(context, axis.x(point.time), y, row.lane.colour, theme);
  }
  const ghosts = scene.drag?.ghosts.filter((ghost) => ghost.label === row.lane.label) ?? [];
  for (const x of new Set(ghosts.map((ghost) => Math.round(axis.x(ghost.time))))) {
    if (x > axis.left - 9 && x < axis.left + axis.width + 9) paintChosen(context, x, y, row.lane.colour, theme);
  }
}

function paintChosen(context, x, y, colour, theme) {
  diamond(context, x, y, DIAMOND + 3);
  context.fillStyle = theme.text;
  context.fill();
  diamond(context, x, y, DIAMOND);
  context.fillStyle = colour;
  context.fill();
  context.strokeStyle = theme.ground;
  context.lineWidth = 1.5;
  context.stroke();
}

function paintOverview(context, scene) {
  const { overview, axis, theme, bands: { overview: band }, lanes } = scene;
  context.fillStyle = theme.soft;
  context.fillRect(overview.left, band.y, overview.width, band.height);
  context.fillStyle = theme.accent;
  context.globalAlpha = .3;
  for (const [start, end] of scene.watched) {
    context.fillRect(overview.x(start), band.y, overview.x(end) - overview.x(start), band.height);
  }
  context.globalAlpha = 1;
  if (scene.marks) context.drawImage(scene.marks, overview.left, band.y, overview.width, band.height);
  const [left, right] = [overview.x(axis.start), overview.x(axis.end)];
  context.fillStyle = theme.veil;
  context.fillRect(overview.left, band.y, left - overview.left, band.height);
  context.fillRect(right, band.y, overview.left + overview.width - right, band.height);
  context.strokeStyle = theme.accent;
  context.lineWidth = 2;
  context.strokeRect(left, band.y + 1, Math.max(right - left, 3), band.height - 2);
  context.fillStyle = theme.faint;
  context.textAlign = "left";
  context.fillText(lanes.length ? clockText(axis.duration, 1) : "", 10, band.y + band.height / 2);
}

/** The overview's points and segments on a separate canvas, repainted only when they change. */
export function paintMarks(canvas, scene, ratio) {
  const { overview, bands: { overview: band }, lanes, theme } = scene;
  canvas.width = Math.round(overview.width * ratio);
  canvas.height = Math.round(band.height * ratio);
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  const room = Math.max(2, (band.height - 4) / Math.max(lanes.length, 1));
  const at = (seconds) => (seconds / overview.duration) * overview.width;
  lanes.forEach((lane, index) => {
    const y = 2 + (index * room) % (band.height - 4);
    const mark = (moments) => {
      context.beginPath();
      for (const seconds of moments) context.rect(Math.round(at(seconds)) - 1, y, 2, Math.max(room, 3));
      context.fill();
    };
    for (const { kind, items, colour } of lane.layers) {
      context.fillStyle = colour ?? lane.colour ?? theme.text;
      context.globalAlpha = kind === "segments" ? .35 : 1;
      if (kind === "points") mark(items.map(([seconds]) => seconds));
      if (kind !== "segments") continue;
      for (const [start, end] of items) context.fillRect(at(start), y, at(end) - at(start) + 1, room);
    }
    context.globalAlpha = 1;
    context.fillStyle = lane.colour ?? theme.text;
    mark((lane.points ?? []).map((point) => point.time));
  });
}

function paintRuler(context, { axis, theme, bands: { ruler } }) {
  const { marks, decimals } = ticks(axis);
  context.textAlign = "left";
  context.fillStyle = theme.faint;
  for (const mark of marks) {
    const x = Math.round(axis.x(mark));
    context.fillRect(x, ruler.y + 10, 1, 8);
    const text = clockText(mark, decimals);
    if (x + 4 + context.measureText(text).width <= axis.left + axis.width) context.fillText(text, x + 4, ruler.y + 9);
  }
}

function paintFilm(context, { axis, bands: { film: band }, film, theme }) {
  if (!film.picture) {
    context.fillStyle = theme.soft;
    context.fillRect(axis.left, band.y, axis.width, band.height);
    return;
  }
  const wide = Math.max(8, (band.height / film.tile_height) * film.tile_width);
  context.save();
  context.beginPath();
  context.rect(axis.left, band.y, axis.width, band.height);
  context.clip();
  for (let x = axis.left; x < axis.left + axis.width; x += wide) {
    const index = nearestIndex(film.times, axis.time(Math.min(x + wide / 2, axis.left + axis.width)));
    const [column, line] = [index % film.columns, Math.floor(index / film.columns)];
    const tile = [column * film.tile_width, line * film.tile_height, film.tile_width, film.tile_height];
    context.drawImage(film.picture, ...tile, x, band.y, wide, band.height);
  }
  context.restore();
}

function nearestIndex(times, seconds) {
  const index = lowerBound(times, seconds, (time) => time);
  if (index === times.length || (index > 0 && seconds - times[index - 1] < times[index] - seconds)) return index - 1;
  return index;
}

function paintScrollbar(context, { width, bands, scroll, content, theme }) {
  const room = bands.bottom - bands.top;
  if (content <= room) return;
  context.fillStyle = theme.faint;
  context.globalAlpha = .5;
  context.fillRect(width - 5, bands.top + (scroll / content) * room, 4, Math.max((room / content) * room, 12));
  context.globalAlpha = 1;
}

/** The playhead on the timeline and the overview, and its time beside the ruler. */
export function paintPlayhead(context, { axis, overview, height, playhead, theme, bands }) {
  context.font = `12px ${theme.font}`;
  context.textAlign = "left";
  context.textBaseline = "middle";
  context.fillStyle = theme.text;
  context.fillText(clockText(playhead), 10, bands.ruler.y + 9);
  context.fillRect(Math.round(overview.x(playhead)), bands.overview.y, 1.5, bands.overview.height);
  if (playhead < axis.start || playhead > axis.end) return;
  const x = axis.x(playhead);
  context.fillStyle = theme.accent;
  context.fillRect(Math.round(x) - .75, bands.ruler.y, 1.5, height - bands.ruler.y);
  context.beginPath();
  context.moveTo(x - 6, bands.ruler.y);
  context.lineTo(x + 6, bands.ruler.y);
  context.lineTo(x, bands.ruler.y + 8);
  context.fill();
}

function paintBox(context, { box, theme }) {
  context.strokeStyle = theme.accent;
  context.fillStyle = theme.accent;
  context.lineWidth = 1;
  const corner = [Math.min(box.x0, box.x1), Math.min(box.y0, box.y1)];
  const sides = [...corner, Math.abs(box.x1 - box.x0), Math.abs(box.y1 - box.y0)];
  context.globalAlpha = .15;
  context.fillRect(...sides);
  context.globalAlpha = 1;
  context.strokeRect(...sides);
}

