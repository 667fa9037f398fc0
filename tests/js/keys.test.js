import assert from "node:assert/strict";
import test from "node:test";

import { actionOf, isTaken, keyName, keysText, TABLE } from "../../assets/timeline/keys.js";

const press = (key, more = {}) => ({ key, code: "", getModifierState: (name) => name === more.graph, ...more });

test("no key or action is listed twice", () => {
  const keys = TABLE.flatMap((row) => row.keys);
  assert.deepEqual(keys.filter((key, index) => keys.indexOf(key) !== index), []);
  const actions = TABLE.map((row) => row.action);
  assert.equal(new Set(actions).size, actions.length);
});

test("keys of the page itself are never bound", () => {
  const keys = new Set(TABLE.flatMap((row) => row.keys));
  for (const key of ["r", "c", "Shift+r", "Shift+c", "Alt+ArrowLeft", "Ctrl+r", "Ctrl+c"]) assert.ok(!keys.has(key));
  const events = [press("r"), press("c"), press("R", { shiftKey: true }), press("ArrowLeft", { altKey: true })];
  for (const event of events) assert.equal(actionOf(event, true), null);
});

test("every key of the table can be typed on a keyboard", () => {
  for (const key of TABLE.flatMap((row) => row.keys)) {
    const [, modifiers, name] = /^((?:Ctrl\+|Alt\+|Shift\+)*)(.+)$/.exec(key);
    const shiftKey = modifiers.includes("Shift+");
    const event = press(name === "Space" ? " " : name,
      { ctrlKey: modifiers.includes("Ctrl+"), altKey: modifiers.includes("Alt+"), shiftKey });
    assert.equal(keyName(event), key);
  }
});

test("digits are recognised by position, letters and signs by the character", () => {
  assert.equal(keyName(press("!", { code: "Digit1", shiftKey: true })), "Shift+1");
  assert.equal(keyName(press("&", { code: "Digit1" })), "1");                                  // AZERTY
  const composed = { code: "Digit8", graph: "AltGraph", ctrlKey: true, altKey: true };         // QWERTZ
  assert.equal(keyName(press("[", composed)), "[");
  assert.equal(keyName(press("?", { code: "Slash", shiftKey: true })), "?");
  assert.equal(keyName(press("+", { code: "Equal", shiftKey: true })), "+");
  assert.equal(keyName(press("3", { code: "Numpad3" })), "3");
  assert.equal(keyName(press("Z", { shiftKey: true, metaKey: true })), "Ctrl+Shift+z");
  assert.equal(keyName(press("K", { shiftKey: false })), "k");                                  // caps lock
});

test("on non-Latin layouts the position decides", () => {
  const pairs = [["я", "z", "KeyZ", { ctrlKey: true }], ["Я", "Z", "KeyZ", { ctrlKey: true, shiftKey: true }],
    ["л", "k", "KeyK"], ["т", "n", "KeyN"], ["х", "[", "BracketLeft"], ["ъ", "]", "BracketRight"],
    ["б", ",", "Comma"], ["ю", ".", "Period"],                                                  // Russian
    ["Λ", "L", "KeyL", { shiftKey: true }], ["ξ", "j", "KeyJ"],                                 // Greek
    ["ל", "k", "KeyK"], ["ת", ",", "Comma"], ["ס", "x", "KeyX"],                                // Hebrew
    ["ن", "k", "KeyK"], ["لا", "b", "KeyB"], ["؟", "?", "Slash", { shiftKey: true }],           // Arabic
    ["١", "1", "Digit1"], ["٣", "3", "Numpad3"],
    ["の", "k", "KeyK"], ["ㅏ", "k", "KeyK"], ["ｋ", "k", "KeyK"], ["，", ",", "Comma"]];        // Japanese, Korean
  for (const [key, latin, code, more] of pairs) {
    assert.equal(keyName(press(key, { code, ...more })), keyName(press(latin, { code, ...more })), key);
  }
  assert.deepEqual(actionOf(press("я", { code: "KeyZ", ctrlKey: true }), true), { action: "undo", index: 0 });
  assert.equal(actionOf(press("к", { code: "KeyR" }), true), null);                             // R is the page's own
});

test("on Latin layouts the printed character decides", () => {
  const unbound = [["ü", "BracketLeft"], ["ö", "Comma"], ["ç", "Period"], ["¡", "Equal"], ["²", "Backquote"]];
  for (const [key, code] of unbound) assert.equal(actionOf(press(key, { code }), true), null, key);
  assert.equal(keyName(press("w", { code: "KeyZ", ctrlKey: true })), "Ctrl+w");                 // AZERTY
  assert.equal(keyName(press("z", { code: "KeyW", ctrlKey: true })), "Ctrl+z");
  assert.equal(keyName(press("t", { code: "KeyK" })), "t");                                     // Dvorak
  assert.equal(keyName(press("ł", { code: "KeyL", graph: "AltGraph" })), "ł");                  // Polish
});

test("with Alt the position decides, since Alt changes the character on some systems", () => {
  const actions = [["[", {}], ["“", {}], ["ü", {}], ["х", {}], ["{", { shiftKey: true }], ["Ü", { shiftKey: true }]]
    .map(([key, more]) => actionOf(press(key, { code: "BracketLeft", altKey: true, ...more }), true)?.action);
  assert.deepEqual(actions, ["startBack", "startBack", "startBack", "startBack", "endBack", "endBack"]);
  assert.equal(actionOf(press("]", { code: "BracketRight", altKey: true }), true).action, "startForward");
  assert.equal(actionOf(press("]", { code: "BracketRight", altKey: true }), false), null);
  assert.equal(actionOf(press("[", { code: "Digit8", altKey: true, ctrlKey: true, graph: "AltGraph" }), true).action,
    "nudgeBack");
});

test("the view is zoomed and moved by keys, also without the desk", () => {
  const pressed = [press("i"), press("o"), press("<", { shiftKey: true }), press("Ю", { code: "Period", shiftKey: true })];
  assert.deepEqual(pressed.map((event) => actionOf(event, false)?.action), ["zoomIn", "zoomOut", "panBack", "panForward"]);
});

test("keys pressed while composing text do nothing", () => {
  const composing = [press("k", { code: "KeyK", isComposing: true }), press("Process", { code: "KeyK" }),
    press("k", { code: "KeyK", keyCode: 229 }), press("Dead", { code: "Digit6", shiftKey: true }),
    press("Enter", { code: "Enter", isComposing: true })];
  for (const event of composing) assert.equal(actionOf(event, true), null);
});

test("a digit selects the class, and a read-only view changes no labels", () => {
  assert.deepEqual(actionOf(press("0", { code: "Digit0" }), true), { action: "stamp", index: 9 });
  assert.equal(actionOf(press("0", { code: "Digit0" }), false), null);
  assert.equal(actionOf(press(" "), false).action, "playPause");
});

test("controls outside the stage keep their own keys", () => {
  const element = (...path) => ({ closest: (selector) => selector.split(", ").find((part) => path.includes(part)) });
  const [inside, outside] = [{ contains: () => true }, { contains: () => false }];
  for (const control of ["[role=toolbar]", "[role=radiogroup]", "[role=slider]", "[role=grid]", "[role=tablist]",
    "[role=listbox]", "[role=menu]", "canvas"]) {
    assert.deepEqual([isTaken(element("button", control), outside), isTaken(element(control), inside)], [true, false]);
  }
  assert.deepEqual([isTaken(element("input"), inside), isTaken(element("select"), outside)], [true, true]);
  assert.deepEqual([isTaken(element("button"), outside), isTaken(element("body"), outside)], [false, false]);
});

test("keys are written out readably", () => {
  const texts = TABLE.map(keysText);
  assert.ok(texts.includes("Space or K") && texts.includes("Ctrl+Shift+Z or Ctrl+Y") && texts.includes("+ or ="));
});
