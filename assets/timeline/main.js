import { base } from "./base.js";
import { Desk } from "./desk.js";
import { Viewer } from "./viewer.js";

/** Build what `data.mode` names inside `parent`: {update(data), dispose()}. */
export function mount(parent, data) {
  return data.mode === "desk" ? new Desk(parent, { ...data, base }) : new Viewer(parent, { ...data, base });
}
