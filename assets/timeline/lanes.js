/** Layout of the bands and lanes on the canvas. */

export const GUTTER = 150;
export const LANE = 22;

/** The fixed bands at the top; film: whether there is a filmstrip. */
export function bands(film) {
  const overview = { y: 2, height: 24 };
  const ruler = { y: 28, height: 18 };
  const strip = { y: 46, height: film ? 46 : 0 };
  return { overview, ruler, film: strip, top: strip.y + strip.height + 3 };
}

export function contentHeight(lanes) {
  return lanes.reduce((sum, lane) => sum + (lane.height ?? LANE), 0);
}

/**
 * Lanes pinned to the lower edge of `top` to `bottom` while the others scroll, each as {lane, y, height}. They take at
 * most a third of the space, so that the others stay usable in a low window.
 */
export function pinnedRows(lanes, top, bottom) {
  const most = Math.floor((bottom - top) / 3 / Math.max(lanes.length, 1));
  const heights = lanes.map((lane) => Math.min(lane.height ?? LANE, most));
  let y = bottom - heights.reduce((sum, height) => sum + height, 0);
  return lanes.map((lane, index) => {
    y += heights[index];
    return { lane, y: y - heights[index], height: heights[index] };
  });
}

/** The visible lanes between `top` and `bottom`, scrolled by `scroll` pixels, each as {lane, y, height}. */
export function rowsInView(lanes, top, bottom, scroll) {
  const rows = [];
  let y = top - scroll;
  for (const lane of lanes) {
    const height = lane.height ?? LANE;
    if (y + height > top && y < bottom) rows.push({ lane, y, height });
    y += height;
  }
  return rows;
}

/** The scroll position that brings a lane into view. */
export function scrollTo(lanes, index, room, scroll) {
  const above = contentHeight(lanes.slice(0, index));
  const height = lanes[index].height ?? LANE;
  return Math.min(Math.max(scroll, above + height - room), above);
}

/** Two letters for a name, so that colour is never the only cue: "HighJump" -> "HJ", "take" -> "ta". */
export function initials(name) {
  const words = name.split(/[^\p{L}\p{N}]+|(?<=\p{Ll})(?=\p{Lu})/u).filter(Boolean);
  if (words.length > 1) return words.slice(0, 2).map((word) => [...word][0]).join("");
  return [...(words[0] ?? name)].slice(0, 2).join("");
}
