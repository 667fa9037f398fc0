/** What a browser keeps of its own accord. Where that is forbidden nothing is kept, and labels are said to wait. */

const FORBIDDEN = Object.defineProperties({}, {
  getItem: { value: () => null },
  removeItem: { value: () => {} },
  setItem: { value: () => { throw new Error("forbidden"); } },
});

/** kind: "localStorage" or "sessionStorage". */
export function browserStorage(kind) {
  try {
    return globalThis[kind] ?? FORBIDDEN;
  } catch {
    return FORBIDDEN;
  }
}

/** Keep what may be forgotten: true if there was room. */
export function keep(storage, key, text) {
  try {
    storage.setItem(key, text);
    return true;
  } catch {
    return false;
  }
}
