import assert from "node:assert/strict";
import test from "node:test";

import { Axis, clockText, ticks } from "../../assets/timeline/axis.js";
import { Frames } from "../../assets/timeline/frames.js";

test("a frame is on screen from its timestamp to the next one", () => {
  const uneven = new Frames({ times: Float64Array.of(0, .04, .1, .11), fps: 25, duration: .15 });
  assert.deepEqual([-1, 0, .039, .04, .0999, .1, .109, .11, 9].map((seconds) => uneven.at(seconds)),
    [0, 0, 0, 1, 1, 2, 2, 3, 3]);
  assert.deepEqual([0, 1, 2, 3].map((frame) => Number(uneven.middle(frame).toFixed(4))), [.02, .07, .105, .13]);
});

test("the middle of every frame shows that frame at fractional frame rates", () => {
  for (const fps of [24000 / 1001, 30000 / 1001, 60000 / 1001, 19.62]) {
    const even = new Frames({ fps, duration: 600 });
    for (let frame = 0; frame < even.count; frame += 1) {
      assert.equal(even.at(even.middle(frame)), frame);
      assert.equal(even.at(even.time(frame)), frame);
      assert.equal(even.presented(Math.floor(even.time(frame) * 1e6) / 1e6), frame);
    }
  }
});

test("a label is on the frame it names if that is on screen at its time, otherwise on the one that is", () => {
  const stamps = Float64Array.from({ length: 99 }, (_, index) => Math.round(index * 1001 / 30) / 1000);
  const even = new Frames({ times: stamps, fps: 30 / 1.001, duration: 3.3 });
  for (let frame = 0; frame < 99; frame += 1) assert.equal(even.of({ frame, time: frame * 1.001 / 30 }), frame);
  assert.equal(even.of({ frame: 120, time: 4.004 }), 98);
  const uneven = new Frames({ times: Float64Array.of(0, 2, 4, 4.033, 4.067, 4.1, 6), fps: 7 / 8, duration: 8 });
  assert.equal(uneven.of({ frame: 3, time: 4.067 }), 4);     // seconds times the average rate
  assert.equal(uneven.of({ frame: 3, time: 4.033 }), 3);
  assert.equal(uneven.of({ frame: 4, time: 5 }), 5);         // a person's click between frames
});

test("a player whose clock has an offset presents the same frames", () => {
  const frames = new Frames({ times: Float64Array.of(0, .04, .08), fps: 25, duration: .12, start: 1.4 });
  assert.equal(frames.presented(1.44), 1);
});

test("zooming keeps the time under the cursor and stays inside the video", () => {
  const axis = new Axis(100);
  axis.place(150, 1000);
  const x = 150 + 700;
  for (const factor of [2, 3, .7, 5, .1, 40]) {
    const before = axis.time(x);
    const [start, end] = [axis.start, axis.end];
    axis.zoom(factor, x);
    assert.ok(axis.start >= 0 && axis.end <= 100 && axis.span >= .2);
    if (axis.start > 0 && axis.end < 100) assert.ok(Math.abs(axis.time(x) - before) < 1e-9, `${start} ${end}`);
  }
  axis.show(90, 130);
  assert.deepEqual([axis.start, axis.end], [60, 100]);
  assert.ok(Math.abs(axis.time(axis.x(77.7)) - 77.7) < 1e-9);
});

test("the view follows a playhead that leaves it", () => {
  const axis = new Axis(100);
  axis.show(0, 10);
  axis.follow(5);
  assert.equal(axis.start, 0);
  axis.follow(10.5);
  assert.ok(axis.start < 10.5 && axis.end > 19);
});

test("ticks do not crowd and times are formatted readably", () => {
  const axis = new Axis(7200);
  axis.place(0, 1000);
  for (const span of [.5, 3, 40, 600, 7200]) {
    axis.show(1000, 1000 + span);
    const { marks } = ticks(axis);
    assert.ok(marks.length >= 2);
    const gaps = marks.slice(1).map((mark, index) => axis.x(mark) - axis.x(marks[index]));
    assert.ok(gaps.every((gap) => gap > 69.9));
  }
  assert.deepEqual([0, 3.4, 59.999, 75.5, 3725].map((seconds) => clockText(seconds)),
    ["0:00.00", "0:03.40", "1:00.00", "1:15.50", "1:02:05.00"]);
  assert.equal(clockText(65, 0), "1:05");
});
