/** Float32 arrays served by routes. */

import { base } from "./base.js";

/** Fetch {values, rows, columns} from a URL relative to the app's; null if that fails. */
export async function fetchArray(url) {
  const response = await fetch(`${base}/${url}`).catch(() => null);
  if (!response?.ok) return null;
  const [rows, columns = 1] = response.headers.get("X-Shape").split(",").map(Number);
  return { values: new Float32Array(await response.arrayBuffer()), rows, columns };
}

export function columnOf({ values, rows, columns }, column) {
  return Float32Array.from({ length: rows }, (_, row) => values[row * columns + column]);
}
