import assert from "node:assert/strict";
import test, { afterEach } from "node:test";

import { Aside, isOperation } from "../../assets/timeline/aside.js";
import { addPoint, goBack, removeClass } from "../../assets/timeline/edits.js";
import { Labels } from "../../assets/timeline/labels.js";
import { browserStorage, keep } from "../../assets/timeline/storage.js";
import { Sync, waitingElsewhere } from "../../assets/timeline/sync.js";

/** Connection to the real server (run by tests/js/test_javascript.py) that can break before or after a request. */
class Network {
  broken = null;

  constructor(dataset) {
    this.url = `${process.env.HRPRO_URL}/labels/${dataset}`;
  }

  fetch = async (...request) => {
    if (this.broken === "before") throw new TypeError("cut");
    const response = await fetch(...request);
    if (this.broken === "behind") throw new TypeError("cut");
    return response;
  };

  /** Points stored on the server. */
  async points() {
    return (await (await fetch(`${this.url}/v1`)).json()).points;
  }
}

function storage() {
  const items = {};
  const methods = { getItem: (key) => items[key], setItem: (key, value) => { items[key] = value; },
    removeItem: (key) => { delete items[key]; } };
  for (const [name, value] of Object.entries(methods)) Object.defineProperty(items, name,
    { value, enumerable: false, configurable: true });
  return items;
}

const begun = [];
afterEach(() => begun.splice(0).forEach((sync) => sync.stop()));        // otherwise a failing test would never end

function tab(network, kept = storage()) {
  const labels = new Labels();
  labels.open({ classes: [{ name: "jump", index: 0, count: 0, style: {} }], videos: [{ id: "v1", count: 0 }] });
  labels.load("v1", { seq: 0, points: [] });
  const [said, news] = [[], []];
  const person = { name: "Ann" };
  const sync = new Sync({ url: network.url, labels, who: () => person.name, storage: kept, key: "q",
    aside: new Aside(kept, "aside"), fetch: network.fetch, onNews: (heard) => news.push(heard),
    onStatus: () => said.push(sync.status.state) });
  begun.push(sync);
  const add = (frame) => sync.push(addPoint("v1", "jump", frame / 25, frame));
  return { labels, sync, person, said, news, kept, add };
}

async function until(condition) {
  const deadline = Date.now() + 40000;
  while (!condition()) {
    assert.ok(Date.now() < deadline, condition.toString());
    await new Promise((resolve) => { setTimeout(resolve, 5); });
  }
}

test("operations in quick succession all arrive in order, and are saved only when acknowledged", async () => {
  const network = new Network("quick");
  const { labels, sync, said, add, kept } = tab(network);
  sync.start();
  for (let frame = 0; frame < 50; frame += 1) add(frame);
  assert.equal(sync.status.state, "saving");
  await until(() => sync.status.state === "saved");
  sync.stop();
  const stored = await network.points();
  assert.deepEqual(stored.map((point) => point.frame), Array.from({ length: 50 }, (_, frame) => frame));
  assert.deepEqual(labels.sorted.map(({ id }) => id), stored.map(({ id }) => id));
  assert.deepEqual([labels.pending.length, Object.keys(kept)], [0, []]);
  assert.ok(said.lastIndexOf("saving") < said.indexOf("saved"));
});

for (const broken of ["before", "behind"]) {
  test(`a connection that breaks ${broken} the server loses and duplicates nothing`, async () => {
    const network = new Network(broken);
    const { labels, sync, add } = tab(network);
    network.broken = broken;
    sync.start();
    add(1);
    await until(() => sync.status.state === "waiting");
    assert.deepEqual([sync.status.reason, labels.pending.length, labels.points.size], ["no connection", 1, 1]);
    add(2);
    network.broken = null;
    await until(() => sync.status.state === "saved");
    sync.stop();
    assert.deepEqual((await network.points()).map((point) => point.frame), [1, 2]);
    assert.equal(labels.points.size, 2);
  });
}

test("labels stay queued with the reason while the server refuses to save", async () => {
  const network = new Network("nowhere");
  const { labels, sync, add } = tab(network);
  add(1);
  await until(() => sync.status.state === "waiting");
  assert.match(sync.status.reason, /^'nowhere' is not a data set here\./);
  sync.url = new Network("later").url;
  await until(() => sync.status.state === "saved");
  sync.stop();
  assert.deepEqual([labels.pending.length, labels.points.size], [0, 1]);
});

test("unsaved labels of a closed tab are saved by the next tab", async () => {
  const network = new Network("closed");
  network.broken = "before";
  const first = tab(network);
  first.add(1);
  first.add(2);
  await until(() => first.sync.status.state === "waiting");
  first.sync.stop();
  network.broken = null;
  const second = tab(network, first.kept);
  assert.deepEqual([second.labels.points.size, second.sync.status.state], [2, "saving"]);
  second.sync.start();
  await until(() => second.sync.status.state === "saved");
  second.sync.stop();
  assert.deepEqual([(await network.points()).length, Object.keys(first.kept)], [2, []]);
});

test("two tabs see each other's labels", async () => {
  const network = new Network("two");
  const [one, two] = [tab(network), tab(network)];
  one.sync.start();
  two.sync.start();
  one.add(7);
  await until(() => two.labels.points.size === 1);
  one.sync.stop();
  two.sync.stop();
  assert.equal(two.labels.sorted[0].who, "Ann");
});

test("a tab ignores the queue of a data set whose name starts like its own", () => {
  const kept = storage();
  kept.setItem("q.b.1a2b.000000000", JSON.stringify(addPoint("v1", "jump", 1, 25)));
  assert.equal(tab(new Network("quick"), kept).labels.pending.length, 0);
  assert.deepEqual(Object.keys(kept), ["q.b.1a2b.000000000"]);
});

test("a full browser storage loses nothing and is reported", async () => {
  const network = new Network("full");
  network.broken = "before";
  const kept = storage();
  Object.defineProperty(kept, "setItem", { value: () => { throw new Error("QuotaExceededError"); } });
  const { sync, add } = tab(network, kept);
  add(3);
  await until(() => sync.status.state === "waiting");
  assert.equal(sync.status.reason, "no connection. This browser cannot store them either: keep this tab open");
  network.broken = null;
  await until(() => sync.status.state === "saved");
  sync.stop();
  assert.deepEqual((await network.points()).map((point) => point.frame), [3]);
});

test("many bulk edits are split into requests that the server accepts", async () => {
  const network = new Network("bulk");
  const { labels, sync } = tab(network);
  const points = (frame) => Object.fromEntries(Array.from({ length: 20000 }, (_, index) =>
    [`p${index}`, { video: "v1", label: "jump", time: frame / 25, frame }]));
  sync.push({ id: "0", video: "v1", kind: "add", before: {}, after: points(0) });
  for (let turn = 1; turn < 8; turn += 1) {
    sync.push({ id: `${turn}`, video: "v1", kind: "move", before: points(turn - 1), after: points(turn) });
  }
  assert.ok(JSON.stringify(labels.pending).length > 16 << 20);
  await until(() => sync.status.state === "saved");
  sync.stop();
  const stored = await network.points();
  assert.deepEqual([stored.length, new Set(stored.map((point) => point.frame))], [20000, new Set([7])]);
});

test("labels are reloaded if the log was replaced", async () => {
  const network = new Network("other");
  const { labels, sync, add, news } = tab(network);
  Object.assign(labels, { seq: 1, last: "of another log" });
  add(5);
  await until(() => news.some(({ reload }) => reload));
  sync.stop();
  assert.deepEqual([labels.pending.length, (await network.points()).length], [0, 1]);
});

test("queued labels keep their author when the name changes, even after a reload", async () => {
  const network = new Network("names");
  network.broken = "before";
  const first = tab(network);
  first.add(1);
  first.person.name = "Bob";
  first.add(2);
  first.sync.stop();
  network.broken = null;
  const second = tab(network, first.kept);
  second.person.name = "Cem";
  second.add(3);
  await until(() => second.sync.status.state === "saved");
  second.sync.stop();
  assert.deepEqual((await network.points()).map(({ frame, who }) => [frame, who]),
    [[1, "Ann"], [2, "Bob"], [3, "Cem"]]);
});

test("undoing a refused operation undoes nothing else", async () => {
  const network = new Network("undo");
  const { labels, sync, add, news } = tab(network);
  add(1);
  await until(() => sync.status.state === "saved");
  network.broken = "before";
  sync.push(removeClass("v1", { name: "jump", style: {} }));              // has a point, so it will be refused
  sync.push(goBack("undo", "v1"));
  add(2);
  sync.push(goBack("undo", "v1"));
  sync.push(goBack("redo", "v1"));
  network.broken = null;
  await until(() => sync.status.state === "saved");
  sync.stop();
  assert.deepEqual((await network.points()).map((point) => point.frame), [1, 2]);
  assert.deepEqual(news.flatMap(({ refused }) => refused).map(({ refused }) => refused),
    ["The class has points. Delete, relabel or merge them first.",
      "The operation to undo was refused; nothing else was changed."]);
  assert.equal(labels.pending.length, 0);
});

test("a response that is not from the app loses nothing", async () => {
  const network = new Network("captive");
  const real = network.fetch;
  let asked = 0;
  network.fetch = async () => {
    asked += 1;
    return Response.json({ welcome: "to the hotel" });
  };
  const { labels, sync, add, kept } = tab(network);
  add(1);
  await until(() => asked > 1);
  assert.deepEqual([labels.pending.length, Object.keys(kept).length], [1, 1]);
  sync.fetch = real;
  await until(() => sync.status.state === "saved");
  sync.stop();
  assert.deepEqual([(await network.points()).length, Object.keys(kept).length], [1, 0]);
});

const POISON = ["", "{\"id\":", "null", "7", "[]", "{\"id\":\"x\"}", "{\"id\":7,\"video\":\"v1\",\"kind\":\"undo\"}",
  "{\"id\":\"a\",\"video\":\"v1\",\"kind\":\"add\",\"before\":{},\"after\":{\"p\":null}}",
  "{\"id\":\"b\",\"video\":\"v1\",\"kind\":\"add\",\"before\":{},\"after\":{\"p\":{\"frame\":\"1\",\"time\":0}}}",
  "{\"id\":\"c\",\"video\":\"v1\",\"kind\":\"add\",\"before\":5,\"after\":\"text\"}"];

test("invalid entries in the storage are set aside, and labels before and after them are saved", async () => {
  const network = new Network("poison");
  const kept = storage();
  kept.setItem("q.1a2b.000000000", JSON.stringify(addPoint("v1", "jump", 1, 25)));
  for (const [number, text] of POISON.entries()) kept.setItem(`q.1a2b.00000001${number}`, text);
  kept.setItem("q.1a2b.000000099", JSON.stringify({ ...addPoint("v1", "jump", 2, 50), who: ["Ann"] }));
  const { sync, labels } = tab(network, kept);
  assert.equal(labels.pending.length, 2);
  assert.equal(labels.points.size, 2);
  sync.start();
  await until(() => sync.status.state === "saved");
  sync.stop();
  assert.deepEqual((await network.points()).map(({ frame, who }) => [frame, who]), [[25, "Ann"], [50, "Ann"]]);
  assert.deepEqual(sync.aside.all.map(({ text }) => text), POISON);
  assert.equal(sync.aside.count, POISON.length);
  assert.ok(Object.keys(kept).every((key) => key.startsWith("aside.")));
  assert.equal(new Aside(kept, "aside").count, POISON.length);
  sync.aside.discard();
  assert.deepEqual(Object.keys(kept), []);
});

test("what another data set set aside is left alone, whatever its name", () => {
  const kept = storage();
  const [other, own] = [new Aside(kept, "aside.exp.2"), new Aside(kept, "aside.exp")];
  other.put("of exp.2", "why");
  assert.deepEqual([new Aside(kept, "aside.exp").count, own.all], [0, []]);
  own.put("of exp", "why");
  assert.deepEqual(Object.keys(kept), ["aside.exp.2.1", "aside.exp.1"]);
  own.discard();
  assert.deepEqual(new Aside(kept, "aside.exp.2").all, [{ reason: "why", text: "of exp.2" }]);
});

test("operations that the server calls malformed are set aside and block no other label", async () => {
  const network = new Network("malformed");
  const { sync, labels, add, news, kept } = tab(network);
  add(1);
  for (const made of [{ id: "k", video: "v1", kind: "fly", before: {}, after: {} },
    { id: "l", video: "v1", kind: "class", before: {}, after: { jump: { colour: "red" } } },
    { id: "m", video: "v1", kind: "add", before: {}, after: { "\ud800": addPoint("v1", "jump", 1, 1) } },
    addPoint("v1", "\ud800", 1, 25)]) sync.push(made);
  add(2);
  await until(() => sync.status.state === "saved");
  sync.stop();
  assert.deepEqual((await network.points()).map(({ frame }) => frame), [1, 2]);
  assert.deepEqual([labels.pending.length, sync.aside.count], [0, 4]);
  assert.ok(sync.aside.all.some(({ reason }) => reason.includes("unknown kind 'fly'")));
  assert.equal(news.flatMap(({ refused }) => refused).filter((ack) => ack.kept).length, 4);
  assert.ok(Object.keys(kept).every((key) => key.startsWith("aside.")));
});

test("an operation that is too large even on its own is set aside", async () => {
  const network = new Network("large");
  const real = network.fetch;
  network.fetch = (url, options) => (options.body?.length > 5000
    ? Promise.resolve(new Response("More than 5 kB at once.", { status: 413 })) : real(url, options));
  const { sync, add } = tab(network);
  add(1);
  sync.push({ id: "big", video: "v1", kind: "class", before: {}, after: { ["x".repeat(9000)]: {} } });
  add(2);
  await until(() => sync.status.state === "saved");
  sync.stop();
  assert.deepEqual((await network.points()).map(({ frame }) => frame), [1, 2]);
  assert.deepEqual(sync.aside.all.map(({ reason }) => reason), ["More than 5 kB at once."]);
});

test("everything the desk creates is a valid operation", () => {
  assert.ok([addPoint("v1", "jump", 0, 0), goBack("undo", "v1"), removeClass("v1", { name: "jump", style: {} })]
    .every(isOperation));
});

test("the queue of a closed tab stays in place if there is no room to move it", () => {
  const kept = storage();
  kept.setItem("q.1a2b.000000000", JSON.stringify(addPoint("v1", "jump", 1, 25)));
  Object.defineProperty(kept, "setItem", { value: () => { throw new Error("QuotaExceededError"); } });
  assert.equal(tab(new Network("quick"), kept).labels.pending.length, 1);
  assert.deepEqual(Object.keys(kept), ["q.1a2b.000000000"]);
});

test("a browser that forbids storage stores nothing and breaks nothing", () => {
  Object.defineProperty(globalThis, "localStorage", { configurable: true,
    get: () => { throw new Error("SecurityError"); } });
  const forbidden = browserStorage("localStorage");
  assert.deepEqual([keep(forbidden, "a", "b"), forbidden.getItem("a"), Object.keys(forbidden)], [false, null, []]);
  assert.equal(tab(new Network("quick"), forbidden).labels.pending.length, 0);
});

test("queued operations of other data sets, renamed ones included, are counted", () => {
  const kept = storage();
  for (const key of ["q.b.1a2b.000000000", "q.b.1a2b.000000001", "q.c.d e.9z.000000000", "q.own.1a.000000000",
    "qb.1.2"]) {
    kept.setItem(key, JSON.stringify(addPoint("v1", "jump", 1, 25)));
  }
  assert.deepEqual(waitingElsewhere(kept, "q", "own"), { b: 2, "c.d e": 1 });
});

test("requests shrink until the server accepts them", async () => {
  const network = new Network("narrow");
  const real = network.fetch;
  network.fetch = (url, options) => (options.body?.length > 600_000
    ? Promise.resolve(new Response("Too large", { status: 413 })) : real(url, options));
  const { labels, sync } = tab(network);
  for (let turn = 0; turn < 20; turn += 1) {
    const points = Array.from({ length: 500 }, (_, index) =>
      [`p${turn}-${index}`, { video: "v1", label: "jump", time: index / 50, frame: index }]);
    sync.push({ id: `${turn}`, video: "v1", kind: "add", before: {}, after: Object.fromEntries(points) });
  }
  assert.ok(JSON.stringify(labels.pending).length > 600_000);
  await until(() => sync.status.state === "saved");
  sync.stop();
  assert.equal((await network.points()).length, 10_000);
});
