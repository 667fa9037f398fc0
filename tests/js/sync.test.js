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
  for (const [name, value] of Object.entries(methods)) Object.defineProperty(items, name, { value, enumerable: false });
  return items;
}

function tab(network, kept = storage()) {
  const labels = new Labels();
  labels.open({ classes: [{ name: "jump", index: 0, count: 0, style: {} }], videos: [{ id: "v1", count: 0 }] });
  labels.load("v1", { seq: 0, points: [] });
  const said = [];
  const sync = new Sync({ url: network.url, labels, who: () => "Ann", storage: kept, key: "q", fetch: network.fetch,
    onNews: () => {}, onStatus: () => said.push(sync.status.state) });
  return { labels, sync, said, kept, add: (frame) => sync.push(addPoint("v1", "jump", frame / 25, frame)) };
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
