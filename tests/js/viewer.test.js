import assert from "node:assert/strict";
import test from "node:test";

import { isElsewhere } from "../../assets/timeline/viewer.js";

test("a rerun goes to another video, time or mistake, and keeps the position otherwise", () => {
  const data = { video: { id: "v1", file: true }, seek: 2, mistake: "wrong-2-0.5-1", lanes: [] };
  assert.equal(isElsewhere(null, data), true);
  assert.equal(isElsewhere(data, structuredClone({ ...data, lanes: [{}] })), false);
  for (const change of [{ video: { id: "v2", file: true } }, { seek: 3 }, { mistake: "wrong-2-0.5-2" }]) {
    assert.equal(isElsewhere(data, { ...data, ...change }), true);
  }
  assert.equal(isElsewhere(data, { ...data, mistake: "" }), false, "another run at the same moment");
});
