import assert from "node:assert/strict";
import test from "node:test";

import { Axis } from "../../assets/timeline/axis.js";
import { readout } from "../../assets/timeline/readout.js";

const axis = new Axis(100);
axis.place(0, 1000);
const read = (seconds, ...layers) => readout({ lane: { label: "run", layers } }, axis, axis.x(seconds));

test("an empty place in a lane reads as the lane's name", () => {
  const nothing = { kind: "segments", items: [[10, 20, 1, "run"]] };
  assert.equal(read(50, nothing, { kind: "points", items: [] }, { kind: "curve" }), "run");
});

test("the best of several segments is read out with its ends", () => {
  const items = [[10, 20, .2, "run 0.20"], [5, 30, .9, "run 0.90"], [40, 50, 1, "run 1.00"]];
  assert.equal(read(15, { kind: "segments", items }), "run: run 0.90, 0:05.00 to 0:30.00 and 1 more");
  assert.equal(read(20, { kind: "segments", items }), "run: run 0.90, 0:05.00 to 0:30.00");
});

test("points are read out within a few pixels, curves at the nearest row", () => {
  const points = { kind: "points", items: [[30, "run"]] };
  const curve = { kind: "curve", values: Float32Array.of(.25, .5, .75), start: 10, step: 20 };
  assert.equal(read(30.4, points, curve), "run: run at 0:30.00, 0.500");
  assert.equal(read(31, points, curve), "run: 0.500");
  assert.equal(read(90, points, curve), "run");
});
