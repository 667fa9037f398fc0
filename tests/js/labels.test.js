import assert from "node:assert/strict";
import test from "node:test";

import {
  addClass, addPoint, changePoints, decide, goBack, markDone, mergeClass, moveSegment, newId, removeClass, removePoints,
  renameClass, styleClasses,
} from "../../assets/timeline/edits.js";
import { edgeAt, lowerBound, nearestPoint, pointsInBox } from "../../assets/timeline/hit.js";
import { Labels } from "../../assets/timeline/labels.js";
import { contentHeight, initials, rowsInView, scrollTo } from "../../assets/timeline/lanes.js";
import { Axis } from "../../assets/timeline/axis.js";
import { giveKey, movePlace } from "../../assets/timeline/dialogs.js";
import { ClassPanel, plain, PointPanel, stateOf, VideoPanel } from "../../assets/timeline/panels.js";
import { View } from "../../assets/timeline/view.js";

function opened(points = []) {
  const labels = new Labels();
  const videos = [{ id: "v1", count: 0, done: false }, { id: "v2", count: 3, done: true }];
  labels.open({ classes: ["jump", "run"].map((name, index) => ({ name, index, count: 0, style: {} })), videos });
  labels.load("v1", { seq: 5, points });
  return labels;
}

const fromServer = (operation, seq, who = "Ann") => ({ seq, who, ...operation });
const frames = (labels) => labels.sorted.map((point) => [point.label, point.frame]);

test("a label appears at once, waits for the server, and appears once after that", () => {
  const labels = opened();
  const add = addPoint("v1", "jump", 1, 25);
  labels.push(add);
  assert.deepEqual(frames(labels), [["jump", 25]]);
  assert.equal(labels.sorted[0].waiting, true);
  assert.equal(labels.count("v1"), 1);
  labels.acknowledge([{ id: add.id, seq: 6 }]);
  labels.receive({ seq: 6, operations: [fromServer(add, 6)] });
  assert.deepEqual(frames(labels), [["jump", 25]]);
  assert.deepEqual([labels.sorted[0].waiting, labels.sorted[0].who, labels.pending.length], [false, "Ann", 0]);
});

test("pending operations are applied on top of received ones, in order", () => {
  const labels = opened([{ id: "p", video: "v1", label: "jump", time: 1, frame: 25, who: "Ann" }]);
  labels.push(changePoints([labels.points.get("p")], () => ({ time: 2, frame: 50 })));
  labels.push(changePoints([labels.points.get("p")], () => ({ label: "run" })));
  assert.deepEqual(labels.pending[1].before.p.frame, 50);
  labels.receive({ seq: 6, operations: [fromServer(addPoint("v1", "run", .4, 10), 6, "Bob")] });
  assert.deepEqual(frames(labels), [["run", 10], ["run", 50]]);
});

test("a point keeps its author when another person moves it", () => {
  const labels = opened([{ id: "p", video: "v1", label: "jump", time: 1, frame: 25, who: "Ann" }]);
  const move = changePoints([labels.points.get("p")], () => ({ time: 2, frame: 50 }));
  labels.push({ ...move, who: "Bob" });
  labels.push({ ...addPoint("v1", "run", 3, 75), who: "Bob" });
  assert.deepEqual(labels.sorted.map(({ who, waiting }) => [who, waiting]), [["Ann", true], ["Bob", true]]);
  labels.acknowledge(labels.pending.map(({ id }) => ({ id })));
  labels.receive({ seq: 6, operations: [fromServer(move, 6, "Bob")], authors: { p: "Ann" } });
  assert.deepEqual(labels.sorted.map(({ who, frame }) => [who, frame]), [["Ann", 50]]);
});

test("a refused operation is reverted and reports the reason", () => {
  const labels = opened();
  const add = addPoint("v1", "jump", 1, 25);
  labels.push(add);
  assert.deepEqual(labels.acknowledge([{ id: add.id, refused: "No." }]), [{ id: add.id, refused: "No." }]);
  assert.deepEqual(frames(labels), []);
});

test("of other videos, only the counts are received", () => {
  const labels = opened();
  labels.push(addPoint("v2", "jump", 1, 25));
  labels.receive({ seq: 7, operations: [fromServer(addPoint("v2", "run", 1, 25), 7)], counts: { v2: 4 }, done: [] });
  assert.deepEqual(frames(labels), []);
  assert.deepEqual([labels.count("v2"), labels.seq, labels.isDone("v2")], [4, 7, false]);
});

test("classes and marks can be pending like points", () => {
  const labels = opened();
  labels.push(addClass("v1", "dive"));
  labels.push(markDone("v1", true));
  assert.deepEqual([labels.classes, stateOf(labels, "v1")], [["jump", "run", "dive"], "done"]);
  assert.deepEqual(labels.lanes.get("dive"), []);
  labels.push(markDone("v2", false));
  assert.equal(stateOf(labels, "v2"), "work");
  labels.push(goBack("undo", "v1"));
  assert.deepEqual(labels.classes, ["jump", "run", "dive"]);
});

const waiting = (labels) => labels.classes.map((name) => `${labels.entry(name).key} ${name}`);

test("classes are renamed, merged, moved and given keys before the server answers", () => {
  const labels = opened([{ id: "p", video: "v1", label: "jump", time: 1, frame: 25, who: "Ann" }]);
  labels.push(renameClass("v1", labels.entry("jump"), "leap"));
  assert.deepEqual([waiting(labels), frames(labels)], [["1 leap", "2 run"], [["leap", 25]]]);
  labels.push(addClass("v1", "dive"));
  labels.push(movePlace("v1", labels, "dive", 0));
  assert.deepEqual(waiting(labels), ["1 dive", "2 leap", "3 run"]);
  labels.push(giveKey("v1", labels, "run", "1"));
  assert.deepEqual(waiting(labels), ["2 dive", "3 leap", "1 run"]);
  labels.push(giveKey("v1", labels, "leap", "1"));
  assert.deepEqual(waiting(labels), ["2 dive", "1 leap", "3 run"]);
  labels.push(styleClasses("v1", [labels.entry("leap")], () => ({ colour: "#ff0000" })));
  assert.equal(labels.entry("leap").style.colour, "#ff0000");
  labels.push(mergeClass("v1", labels.entry("leap"), labels.entry("run")));
  assert.deepEqual([waiting(labels), frames(labels)], [["1 dive", "2 run"], [["run", 25]]]);
  labels.push(removeClass("v1", labels.entry("dive")));
  assert.deepEqual(labels.classes, ["run"]);
});

test("a segment can be accepted, corrected and rejected, and is removed with its point", () => {
  const labels = opened([{ id: "p", video: "v1", label: "jump", time: 1, frame: 25, who: "Ann" }]);
  const drawn = { video: "v1", label: "jump", start: .5, end: 2, point: "p", model: "run", from: "proposal" };
  const take = decide(drawn, false);
  assert.equal(take.kind, "accept");
  labels.push(take);
  const [segment] = labels.segments.values();
  assert.deepEqual(Object.keys(Object.values(take.after)[0]), ["video", "label", "start", "end", "point", "model"]);
  labels.push(moveSegment(segment, .7, 2));
  labels.push(changePoints([labels.points.get("p")], () => ({ label: "run" }), [...labels.segments.values()]));
  const [now] = labels.segments.values();
  assert.deepEqual([now.start, now.label, labels.pending.at(-1).kind], [.7, "run", "relabel"]);
  labels.push(decide(now, true));
  assert.equal([...labels.segments.values()][0].refused, true);
  labels.push(removePoints([labels.points.get("p")], [...labels.segments.values()]));
  assert.deepEqual([labels.segments.size, labels.points.size], [0, 0]);
});

test("a segment is removed by the operation that moves its point out of it", () => {
  const labels = opened([{ id: "p", video: "v1", label: "jump", time: 1, frame: 25, who: "Ann" }]);
  labels.push(decide({ video: "v1", label: "jump", start: .5, end: 2, point: "p", model: "run" }, false));
  const move = (time, more = {}) => changePoints([...labels.points.values()],
    () => ({ time, frame: time * 25, ...more }), [...labels.segments.values()]);
  labels.push(move(2));
  assert.equal(labels.segments.size, 1);
  const away = move(3, { label: "run" });
  assert.deepEqual([away.kind, Object.keys(away.before).length, Object.keys(away.after)], ["relabel", 2, ["p"]]);
  labels.push(away);
  assert.deepEqual([labels.segments.size, frames(labels)], [0, [["run", 75]]]);
});

test("a flagged point keeps its note until the flag is cleared", () => {
  const labels = opened([{ id: "p", video: "v1", label: "jump", time: 1, frame: 25, who: "Ann" }]);
  const flag = changePoints([labels.points.get("p")], () => ({ doubt: "a hop?" }));
  assert.deepEqual([flag.kind, flag.after.p.doubt, "doubt" in flag.before.p], ["flag", "a hop?", false]);
  labels.push(flag);
  labels.push(changePoints([labels.points.get("p")], () => ({ doubt: undefined })));
  assert.equal("doubt" in labels.pending.at(-1).after.p, false);
});

test("receiving the same operations twice changes nothing", () => {
  const labels = opened();
  const add = addPoint("v1", "jump", 1, 25);
  const [id] = Object.keys(add.after);
  const remove = removePoints([{ id, ...add.after[id] }]);
  const news = { seq: 7, operations: [fromServer(add, 6), fromServer(remove, 7)] };
  labels.receive(news);
  labels.receive(news);
  assert.deepEqual(frames(labels), []);
});

test("changes made together have the same result as one by one, and do not affect copies", () => {
  const at = (id, label, time) => ({ id, label, time });
  const points = Array.from({ length: 300 }, (_, index) => at(`p${index}`, index % 3 ? "jump" : "run", index));
  const changes = new Map(points.slice(0, 200).map(({ id, label, time }, index) =>
    [id, index % 5 ? at(id, index % 7 ? label : "dive", 500.5 - time) : null]));
  const [one, other] = [new View(["run", "jump"], points), new View(["run", "jump"], points)];
  const copy = one.copy();
  one.change(changes);
  for (const change of changes) other.change(new Map([change]));
  assert.deepEqual(one.sorted, other.sorted);
  assert.deepEqual(one.lanes, other.lanes);
  assert.deepEqual([...one.points.keys()].sort(), [...other.points.keys()].sort());
  assert.deepEqual([one.sorted.length, one.lanes.get("dive").length], [260, 23]);
  assert.deepEqual([copy.sorted, copy.lanes.get("run").length], [points, 100]);
});

test("reading between pushes does not change the result", () => {
  const [labels, others] = [opened(), opened()];
  const operations = [addPoint("v1", "jump", 1, 25), addClass("v1", "dive"), addPoint("v1", "dive", 2, 50),
    markDone("v1", true)];
  operations.push(changePoints([{ id: Object.keys(operations[0].after)[0], video: "v1", label: "jump", time: 1,
    frame: 25 }], () => ({ label: "dive" })));
  for (const operation of operations) {
    const before = labels.now;
    labels.push(operation);
    assert.notEqual(labels.now, before);
    others.push(operation);
  }
  assert.deepEqual(labels.now, others.now);
  assert.deepEqual([frames(labels), labels.classes], [[["dive", 25], ["dive", 50]], ["jump", "run", "dive"]]);
});

test("an operation holds before and after of all its points", () => {
  const points = [1, 2].map((time) => ({ id: `p${time}`, video: "v1", label: "jump", time, frame: time, who: "A" }));
  const operation = changePoints(points, () => ({ label: "run" }));
  assert.equal(operation.kind, "relabel");
  assert.deepEqual(operation.before.p2, { video: "v1", label: "jump", time: 2, frame: 2 });
  assert.deepEqual(operation.after.p1, { video: "v1", label: "run", time: 1, frame: 1 });
  assert.equal(changePoints(points, () => ({ label: "jump" })), null);
  assert.deepEqual(Object.keys(changePoints(points, (point) => ({ frame: point.frame === 1 ? 1 : 9 })).after), ["p2"]);
  assert.equal(new Set(Array.from({ length: 1000 }, newId)).size, 1000);
});

test("the nearest point to the pointer and the points in a box are found", () => {
  const axis = new Axis(100);
  axis.place(0, 1000);
  const points = [10, 20, 20.5, 90].map((time, index) => ({ id: `${index}`, time }));
  assert.equal(lowerBound(points, 20), 1);
  assert.equal(nearestPoint(points, axis, 201)?.id, "1");
  assert.equal(nearestPoint(points, axis, 204)?.id, "2");
  assert.equal(nearestPoint(points, axis, 893)?.id, "3");
  assert.equal(nearestPoint(points, axis, 150), null);
  const rows = [{ y: 0, height: 20, lane: { editable: true, points } }, { y: 20, height: 20, lane: { points } }];
  const box = { x0: 300, x1: 95, y0: 15, y1: 35 };
  assert.deepEqual(pointsInBox(rows, axis, box).map((point) => point.id), ["0", "1", "2"]);
});

test("the segment edge under the pointer is found", () => {
  const axis = new Axis(100);
  axis.place(0, 1000);
  assert.deepEqual([198, 207, 250, 305, 320].map((x) => edgeAt({ start: 20, end: 30 }, axis, x)),
    ["start", "start", null, "end", null]);
});

test("only visible lanes are laid out, and any lane can be scrolled to", () => {
  const lanes = Array.from({ length: 200 }, (_, index) => ({ id: index, height: index % 2 ? 22 : 40 }));
  assert.equal(contentHeight(lanes), 6200);
  const rows = rowsInView(lanes, 100, 400, 3100);
  assert.ok(rows.length < 14 && rows[0].lane.id === 100 && rows[0].y === 100);
  const scroll = scrollTo(lanes, 150, 300, 0);
  assert.ok(rowsInView(lanes, 100, 400, scroll).some((row) => row.lane.id === 150 && row.y + row.height <= 400));
  assert.equal(scrollTo(lanes, 150, 300, scroll), scroll);
});

test("the next video is counted from the current one, also if the filter hides that", () => {
  const videos = ["a", "b", "c", "d", "e"].map((id) => ({ id }));
  const from = (current, shown, direction) => {
    let opened = null;
    const panel = { videos, current, shown: videos.filter((video) => shown.includes(video.id)) };
    VideoPanel.prototype.step.call(panel, direction, (id) => { opened = id; });
    return opened;
  };
  assert.deepEqual([from("c", "abde", 1), from("c", "abde", -1)], ["d", "b"]);
  assert.deepEqual([from("c", "ab", 1), from("c", "de", -1)], [null, null]);
  assert.deepEqual([from("c", "abcde", 1), from("a", "abcde", -1), from(null, "bc", 1)], ["d", null, "b"]);
});

test("the filter by annotator ends with the person's last point", () => {
  const sorted = [{ who: "Ann" }, { who: "Bob", doubt: "?" }, { who: "", waiting: true }];
  const hidden = (value, points = sorted) => {
    const hides = Reflect.get(PointPanel.prototype, "hidden", { whose: { value }, labels: { sorted: points } });
    return hides && points.map((point) => hides(point));
  };
  assert.deepEqual(hidden("by Bob"), [true, false, false]);
  assert.equal(hidden("by Bob", sorted.slice(0, 1)), null);
  assert.deepEqual([hidden("flagged"), hidden("flagged", sorted.slice(0, 1)), hidden("")],
    [[true, false, true], [true], null]);
});

test("the active class keeps its name if a rename is refused or undone", () => {
  const after = (active, former, ...names) => {
    const panel = { active, former, labels: { lanes: new Map(names.map((name) => [name, []])) } };
    ClassPanel.prototype.settle.call(panel);
    return panel.active;
  };
  assert.deepEqual([after("leap", "jump", "leap", "run"), after("leap", "jump", "jump", "run")], ["leap", "jump"]);
  assert.deepEqual([after("leap", null, "run"), after(null, "jump", "jump")], [null, null]);
});

test("names in any script have initials and can be filtered", () => {
  assert.deepEqual(["HighJump", "take", "Run up", "прыжок", "打球", "é", "", "🏀 shot"].map(initials),
    ["HJ", "ta", "Ru", "пр", "打球", "é", "", "sh"]);
  assert.ok(plain("Éclair").includes("ecl"));
});
