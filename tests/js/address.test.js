import assert from "node:assert/strict";
import test from "node:test";

import { Address } from "../../assets/timeline/address.js";

/** The parts of a window's location and history that an address needs. */
function page(address) {
  const location = new URL(address);
  const history = { state: { of: "Streamlit" }, written: [], replaceState: (state, _, url) => {
    history.written.push(state);
    location.href = new URL(url, location).href;
  } };
  return { location, history };
}

test("the address shows the first time at once and the last one after a pause", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { location, history } = page("http://app/annotate?dataset=my+set&t=1#top");
  const address = new Address({ location, history });
  for (const seconds of [2, 3, 4.567]) address.show("a&b", seconds);
  assert.equal(location.search, "?dataset=my+set&t=2.00&video=a%26b");
  t.mock.timers.tick(500);
  assert.equal(location.href, "http://app/annotate?dataset=my+set&t=4.57&video=a%26b#top");
  t.mock.timers.tick(5000);
  address.show("a&b", 4.567);
  assert.deepEqual(history.written, [{ of: "Streamlit" }, { of: "Streamlit" }], "only what differs, in one entry");
});

test("the address of another page is not changed, and nothing is written after stop()", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { location, history } = page("http://app/annotate");
  const address = new Address({ location, history });
  address.show("v", 1);
  address.show("v", 2);
  address.stop();
  t.mock.timers.tick(5000);
  assert.equal(location.search, "?video=v&t=1.00");
  location.href = "http://app/train";
  address.show("v", 3);
  assert.equal(location.href, "http://app/train");
});
