/** One video with lanes that Python made, read-only: a click on any of them goes there. */

import { el } from "./dom.js";
import { Stage } from "./stage.js";

export class Viewer {
  #shown = "";
  #lanes = "";

  constructor(parent, data) {
    this.stage = new Stage({ base: data.base, dataset: data.dataset, desk: null });
    this.root = el("div", { class: "viewer" }, this.stage.root);
    parent.append(this.root);
    this.update(data);
  }

  /** The page ran again: other lanes keep the video where it is, another video or moment goes there. */
  update(data) {
    const shown = JSON.stringify([data.video, data.seek]);
    if (shown !== this.#shown) {
      const same = this.stage.current?.id === data.video.id;
      this.#shown = shown;
      if (same) this.stage.clock.seek(data.seek);
      else this.stage.open(data.video, data.seek);
      if (data.seek) this.stage.axis.show(data.seek - 10, data.seek + 10);
    }
    const lanes = JSON.stringify(data.lanes);
    if (lanes !== this.#lanes) {
      this.#lanes = lanes;
      this.stage.setLanes(data.lanes.map((lane) => ({ layers: [], ...lane })));
    }
  }

  dispose() {
    this.stage.dispose();
    this.root.remove();
  }
}
