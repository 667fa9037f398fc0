/** The browser's storage. If it is blocked, nothing is kept, and labels are reported as not saved until answered. */

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

/** Store a text that may be lost; returns whether there was room. */
export function keep(storage, key, text) {
  try {
    storage.setItem(key, text);
    return true;
  } catch {
    return false;
  }
}
