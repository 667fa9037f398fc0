import { base } from "./base.js";
import { Desk } from "./desk.js";
import { Viewer } from "./viewer.js";

/** Build the desk or the viewer, as `data.mode` says, inside `parent`: {update(data), dispose()}. */
export function mount(parent, data) {
  return data.mode === "desk" ? new Desk(parent, { ...data, base }) : new Viewer(parent, { ...data, base });
}
