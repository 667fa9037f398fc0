/** Describes what is under the pointer on a read-only lane. */

import { clockText } from "./axis.js";

const REACH = 5; // pixels

/** row: laid-out {lane, y, height}; x: canvas column. */
export function readout({ lane }, axis, x) {
  const [time, reach] = [axis.time(x), axis.seconds(REACH)];
  const found = lane.layers.map((layer) => READERS[layer.kind](layer, time, reach)).filter(Boolean);
  return found.length ? `${lane.label}: ${found.join(", ")}` : lane.label;
}

const READERS = {
  points: ({ items }, time, reach) => items.filter(([seconds]) => Math.abs(seconds - time) <= reach)
    .map(([seconds, text]) => `${text} at ${clockText(seconds)}`).join(", "),
  segments: ({ items }, time) => {
    const under = items.filter(([start, end]) => start <= time && time < end).sort((one, other) => other[2] - one[2]);
    const more = under.length > 1 ? ` and ${under.length - 1} more` : "";
    return under.slice(0, 1).map(([start, end, , text]) =>
      `${text}, ${clockText(start)} to ${clockText(end)}${more}`).join("");
  },
  curve: ({ values, start, step }, time) => {
    const value = values?.[Math.round((time - start) / step)];
    return value === undefined ? "" : value.toFixed(3);
  },
};
