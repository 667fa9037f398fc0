import assert from "node:assert/strict";
import test from "node:test";

import { Model } from "../../assets/timeline/model.js";
import { suggest, withEdge } from "../../assets/timeline/suggest.js";
import { addSpan, Watched } from "../../assets/timeline/watched.js";

const proposals = [[1, 3, .4, "jump"], [1.5, 2.5, .9, "jump"], [0, 9, 1, "run"], [6, 7, 1, "jump"]];

test("the suggested segment is the best proposal of the point's class that contains it", () => {
  const at = (time) => suggest({ time, label: "jump" }, proposals, null, 10);
  assert.deepEqual(at(2), { start: 1.5, end: 2.5, from: "proposal" });
  assert.deepEqual(at(1.2), { start: 1, end: 3, from: "proposal" });
  assert.equal(at(5), null);
});

test("an edge stays within the video, a frame from the other edge, and on its side of the point", () => {
  const [segment, point, frames] = [{ start: 1, end: 3, label: "jump" }, { time: 2 }, { fps: 25, duration: 10 }];
  const at = (edge, seconds, about = point) => Object.values(withEdge(segment, edge, seconds, about, frames));
  assert.deepEqual([at("start", .5), at("start", -1), at("start", 2.5)], [[.5, 3], [0, 3], [2, 3]]);
  assert.deepEqual([at("end", 4), at("end", 11), at("end", 1.5)], [[1, 4], [1, 10], [1, 2]]);
  assert.deepEqual([at("start", 5, null), at("end", 0, null)], [[2.96, 3], [1, 1.04]]);
});

test("without a proposal the segment is where the score stays above half its value at the point", () => {
  const values = Float32Array.of(0, .1, .5, .8, .45, .3, 0, 0, .02, 0);
  const curve = { values, start: .5, step: 1 };
  assert.deepEqual(suggest({ time: 3.4, label: "swim" }, proposals, curve, 10), { start: 2, end: 5, from: "score" });
  assert.equal(suggest({ time: 8.5, label: "swim" }, proposals, curve, 10), null);
  assert.deepEqual(suggest({ time: 99, label: "swim" }, [], { ...curve, values: Float32Array.of(.9) }, 1.2),
    { start: 0, end: 1.2, from: "score" });
});

test("classes that were merged after training share the curve of the higher score", () => {
  const model = new Model({ url: "", storage: { getItem: () => null }, key: "m", onChange: () => {} });
  model.clear();
  assert.equal(model.layer("run"), null);
  const scores = { values: Float32Array.of(.25, .5, .75, .5, .25, .125), rows: 2, columns: 3 };
  model.curves = { columns: ["run", "run", ""], scores, start: 0, step: 1 };
  assert.deepEqual([...model.layer("run").values], [.5, .5]);
  assert.deepEqual([...model.layer("").values], [.75, .125]);
});

test("overlapping and adjacent watched spans are merged", () => {
  let spans = [];
  for (const [start, end] of [[5, 6], [1, 2], [2, 3], [5.5, 7], [0, .5]]) spans = addSpan(spans, start, end);
  assert.deepEqual(spans, [[0, .5], [1, 3], [5, 7]]);
  assert.deepEqual(addSpan(spans, .2, 6), [[0, 7]]);
});

test("only playback counts as watched, jumps do not, and watched spans and times are stored", () => {
  const kept = new Map();
  const storage = { getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => kept.set(key, value) };
  const watched = new Watched({ storage, key: "w" });
  watched.open("v1", "Ann");
  for (const time of [0, .5, 1, null, 4, 4.4, 9, 9.1, 8]) watched.see(time);
  assert.deepEqual(watched.spans, [[0, 1], [4, 4.4], [9, 9.1]]);
  watched.touch(100);
  for (const now of [101, 110, 129, 140]) watched.second(now, false, "Ann");
  watched.second(500, true, "Ann");
  watched.second(501, true, "Bob");
  watched.keep();
  const again = new Watched({ storage, key: "w" });
  again.open("v1", "Ann");
  assert.deepEqual([...again.seconds, again.played.toFixed(1)], [["Ann", 4], ["Bob", 1], "1.5"]);
  for (const junk of ["junk", '{"spans": [], "seconds": "5"}', '{"spans": [], "seconds": [["Ann", null]]}']) {
    kept.set("w.v2", junk);
    again.open("v2", "Ann");
    assert.deepEqual([again.spans, again.seconds.size], [[], 0]);
  }
});

test("time per point is a person's time divided by the number of that person's points", () => {
  const kept = new Map([["w.v1", '{"spans": [[0, 10]], "seconds": 30}']]);
  const watched = new Watched({ storage: { getItem: (key) => kept.get(key) ?? null }, key: "w" });
  watched.open("v1", "Ann");                            // seconds as a number, the earlier format
  watched.second(500, true, "Bob");
  const points = ["Ann", "Bob", "Ann", "points.csv", "Ann"].map((who) => ({ who }));
  assert.equal(watched.summary("Ann", 40, points), "Watched 25% · Time 0:30 · 10.0 s per point");
  assert.equal(watched.summary("Bob", 40, points), "Watched 25% · Time 0:01 · 1.0 s per point");
  assert.equal(watched.summary("Cid", 40, points), "Watched 25% · Time 0:00");
});
