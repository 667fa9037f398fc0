/** URL prefix of the app as this browser sees it, "" if none; a proxy may have added it. */

export const base = new URL("../..", import.meta.url).pathname.replace(/\/$/, "");
