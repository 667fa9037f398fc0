/** Arrays of float32 that routes serve. */

import { base } from "./base.js";

/** {values, rows, columns} of an address below the app's own; null if it cannot be had. */
export async function fetchArray(url) {
  const response = await fetch(`${base}/${url}`).catch(() => null);
  if (!response?.ok) return null;
  const [rows, columns = 1] = response.headers.get("X-Shape").split(",").map(Number);
  return { values: new Float32Array(await response.arrayBuffer()), rows, columns };
}

export function columnOf({ values, rows, columns }, column) {
  return Float32Array.from({ length: rows }, (_, row) => values[row * columns + column]);
}
