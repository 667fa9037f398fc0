import assert from "node:assert/strict";
import test from "node:test";

import { addPoint } from "../../assets/timeline/edits.js";
import { Labels } from "../../assets/timeline/labels.js";
import { Sync } from "../../assets/timeline/sync.js";

/** The way to the real server (tests/js/test_javascript.py runs it), which can break before it or behind it. */
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

  /** What the server has. */
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

function tab(network, kept = storage()) {
  const labels = new Labels();
  labels.open({ classes: [{ name: "jump", index: 0, count: 0, style: {} }], videos: [{ id: "v1", count: 0 }] });
  labels.load("v1", { seq: 0, points: [] });
  const [said, news] = [[], []];
  const sync = new Sync({ url: network.url, labels, who: () => "Ann", storage: kept, key: "q", fetch: network.fetch,
    onNews: (heard) => news.push(heard), onStatus: () => said.push(sync.status.state) });
  return { labels, sync, said, news, kept, add: (frame) => sync.push(addPoint("v1", "jump", frame / 25, frame)) };
}

async function until(condition) {
  const deadline = Date.now() + 8000;
  while (!condition()) {
    assert.ok(Date.now() < deadline, condition.toString());
    await new Promise((resolve) => { setTimeout(resolve, 5); });
  }
}

test("quick operations all arrive, in order, and are saved only when acknowledged", async () => {
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
  test(`a connection that breaks ${broken} the server loses and doubles nothing`, async () => {
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

test("a server that refuses to save says so and the labels wait", async () => {
  const network = new Network("nowhere");
  const { labels, sync, add } = tab(network);
  add(1);
  await until(() => sync.status.state === "waiting");
  assert.match(sync.status.reason, /^'nowhere' is no data set here\./);
  sync.url = new Network("later").url;
  await until(() => sync.status.state === "saved");
  sync.stop();
  assert.deepEqual([labels.pending.length, labels.points.size], [0, 1]);
});

test("a tab that was closed too early leaves its labels to the next", async () => {
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

test("a tab leaves alone what waits for a data set whose name begins like its own", () => {
  const kept = storage();
  kept.setItem("q.b.1a2b.000000000", JSON.stringify(addPoint("v1", "jump", 1, 25)));
  assert.equal(tab(new Network("quick"), kept).labels.pending.length, 0);
  assert.deepEqual(Object.keys(kept), ["q.b.1a2b.000000000"]);
});

test("a full storage loses nothing and is said", async () => {
  const network = new Network("full");
  network.broken = "before";
  const kept = storage();
  Object.defineProperty(kept, "setItem", { value: () => { throw new Error("QuotaExceededError"); } });
  const { sync, add } = tab(network, kept);
  add(3);
  await until(() => sync.status.state === "waiting");
  assert.equal(sync.status.reason, "no connection. The browser's storage is full too: keep this tab open");
  network.broken = null;
  await until(() => sync.status.state === "saved");
  sync.stop();
  assert.deepEqual((await network.points()).map((point) => point.frame), [3]);
});

test("many bulk edits go in requests that the server takes", async () => {
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

test("labels of a log that is no longer there are read anew", async () => {
  const network = new Network("other");
  const { labels, sync, add, news } = tab(network);
  Object.assign(labels, { seq: 1, last: "of another log" });
  add(5);
  await until(() => news.some(({ reload }) => reload));
  sync.stop();
  assert.deepEqual([labels.pending.length, (await network.points()).length], [0, 1]);
});
