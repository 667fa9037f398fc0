import { Desk } from "./desk.js";
import { Viewer } from "./viewer.js";

/** Build what `data.mode` names inside `parent`: {update(data), dispose()}. */
export function mount(parent, data) {
  return data.mode === "desk" ? new Desk(parent, data) : new Viewer(parent, data);
}
