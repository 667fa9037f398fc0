/** Where the app is, as this browser sees it: "" or the prefix of its addresses, which a proxy may have added. */

export const base = new URL("../..", import.meta.url).pathname.replace(/\/$/, "");
