/** One video with read-only lanes built in Python; a click on any lane seeks. */

import { el, fillWindow } from "./dom.js";
import { rowAt } from "./hit.js";
import { readout } from "./readout.js";
import { Stage } from "./stage.js";

/** Whether a rerun of the page goes to another moment. The mistake counts, as two of them may begin at the same time. */
export function isElsewhere(before, data) {
  return JSON.stringify([before?.video, before?.seek]) !== JSON.stringify([data.video, data.seek])
    || Boolean(data.mistake && data.mistake !== before.mistake);
}

export class Viewer {
  #shown = null;
  #lanes = "";

  constructor(parent, data) {
    this.stage = new Stage({ base: data.base, dataset: data.dataset, desk: null });
    this.root = el("div", { class: "viewer" }, this.stage.root);
    this.said = el("output", { class: "readout" });
    this.stage.tools.append(this.said);
    this.stage.canvas.addEventListener("pointermove", (event) => this.#read(event));
    this.stage.canvas.addEventListener("pointerleave", () => this.said.replaceChildren());
    parent.append(this.root);
    this.filling = fillWindow(this.root);
    this.update(data);
  }

  /** The page was rerun: new lanes keep the position; another video, time or mistake seeks to it. */
  update(data) {
    this.filling.fit();
    const elsewhere = isElsewhere(this.#shown, data);
    this.#shown = data;
    if (elsewhere) {
      const same = this.stage.current?.id === data.video.id;
      if (same) this.stage.clock.seek(data.seek);
      else this.stage.open(data.video, data.seek);
      if (data.seek) this.stage.axis.show(data.seek - 10, data.seek + 10);
    }
    this.root.classList.toggle("unfilmed", !data.video.file);
    const lanes = JSON.stringify(data.lanes);
    if (lanes !== this.#lanes) {
      this.#lanes = lanes;
      this.stage.setLanes(data.lanes.map((lane) => ({ layers: [], ...lane })));
    }
  }

  #read({ offsetX, offsetY }) {
    const { rows = [], axis } = this.stage.scene ?? {};
    const row = rowAt(rows, offsetY);
    this.said.textContent = row ? readout(row, axis, offsetX) : "";
  }

  dispose() {
    this.filling.stop();
    this.stage.dispose();
    this.root.remove();
  }
}
