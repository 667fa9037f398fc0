/**
 * All keys, in one place. R, C and Alt+Left belong to the page: never bind these.
 * Each row has its keys, their action and its description; desk: only on the annotation desk.
 */
export const TABLE = [
  { keys: ["Space", "k"], action: "playPause", does: "play / pause" },
  { keys: ["j"], action: "shuttleBack", does: "backward; again for ×2, ×4, ×8" },
  { keys: ["l"], action: "shuttleForward", does: "forward; again for ×2, ×4, ×8" },
  { keys: [","], action: "frameBack", does: "previous frame" },
  { keys: ["."], action: "frameForward", does: "next frame" },
  { keys: ["ArrowLeft"], action: "secondBack", does: "1 s back" },
  { keys: ["ArrowRight"], action: "secondForward", does: "1 s forward" },
  { keys: ["Shift+ArrowLeft"], action: "fiveBack", does: "5 s back" },
  { keys: ["Shift+ArrowRight"], action: "fiveForward", does: "5 s forward" },
  { keys: ["Home"], action: "toStart", does: "to the start" },
  { keys: ["End"], action: "toEnd", does: "to the end" },
  { keys: ["-"], action: "slower", does: "slower" },
  { keys: ["+", "="], action: "faster", does: "faster" },
  { keys: ["f"], action: "fit", does: "fit the selection or the whole video" },
  { keys: ["i"], action: "zoomIn", does: "zoom in" },
  { keys: ["o"], action: "zoomOut", does: "zoom out" },
  { keys: ["<"], action: "panBack", does: "move the view back" },
  { keys: [">"], action: "panForward", does: "move the view forward" },
  { keys: ["\\"], action: "loop", does: "loop the selection or the visible part" },
  { keys: ["?"], action: "help", does: "show keys and legend" },
  { keys: ["1", "2", "3", "4", "5", "6", "7", "8", "9", "0"], action: "stamp", desk: true, show: "1–9, 0",
    does: "add a point of class n at the playhead" },
  { keys: [1, 2, 3, 4, 5, 6, 7, 8, 9, 0].map((digit) => `Shift+${digit}`), action: "stampEarlier", desk: true,
    show: "Shift+digit", does: "same, minus a reaction time of 0.25 s" },
  { keys: ["Tab"], action: "nextPoint", desk: true, does: "next point" },
  { keys: ["Shift+Tab"], action: "previousPoint", desk: true, does: "previous point" },
  { keys: ["Enter"], action: "accept", desk: true, does: "accept the suggested segment" },
  { keys: ["x"], action: "refuse", desk: true, does: "reject it" },
  { keys: ["q"], action: "nextMoment", desk: true, does: "next suggestion" },
  { keys: ["s"], action: "foldScores", desk: true, does: "show or hide the scores" },
  { keys: ["d"], action: "flag", desk: true, does: "flag the selection for review, with a note" },
  { keys: ["Delete", "Backspace"], action: "remove", desk: true, does: "delete the selection" },
  { keys: ["["], action: "nudgeBack", desk: true, does: "move the selection one frame back" },
  { keys: ["]"], action: "nudgeForward", desk: true, does: "move the selection one frame forward" },
  { keys: ["Alt+["], action: "startBack", desk: true, does: "move the segment's start one frame back" },
  { keys: ["Alt+]"], action: "startForward", desk: true, does: "move the segment's start one frame forward" },
  { keys: ["Alt+{"], action: "endBack", desk: true, show: "Shift+Alt+[", does: "move its end one frame back" },
  { keys: ["Alt+}"], action: "endForward", desk: true, show: "Shift+Alt+]", does: "move its end one frame forward" },
  { keys: ["Ctrl+a"], action: "selectAll", desk: true, does: "select all points of this video" },
  { keys: ["Escape"], action: "escape", desk: true, does: "clear the selection" },
  { keys: ["Ctrl+z"], action: "undo", desk: true, does: "undo" },
  { keys: ["Ctrl+Shift+z", "Ctrl+y"], action: "redo", desk: true, does: "redo" },
  { keys: ["n"], action: "nextVideo", desk: true, does: "next video" },
  { keys: ["p"], action: "previousVideo", desk: true, does: "previous video" },
];

// The signs of a US keyboard by position, without and with Shift.
const SIGNS = { Backquote: "`~", Minus: "-_", Equal: "=+", BracketLeft: "[{", BracketRight: "]}", Backslash: "\\|",
  Semicolon: ";:", Quote: "'\"", Comma: ",<", Period: ".>", Slash: "/?" };

/** Whether a text is in a script other than Latin (Cyrillic, Greek, Hebrew, Arabic, kana, full-width forms …). */
function isForeign(text) {
  return /[^\0-\x7f]/.test(text) && (/[\uff00-\uffef]/.test(text) || !/[\p{scx=Latin}\p{scx=Common}]/u.test(text));
}

/** The character of a US keyboard at this key's position; "" if it has no letter, digit or sign. */
function atPlace({ code, shiftKey }) {
  return /^(?:Key|Numpad)([A-Z\d])$/.exec(code)?.[1] ?? SIGNS[code]?.[shiftKey ? 1 : 0] ?? "";
}

/**
 * Name of the pressed key: "Shift+3", "Ctrl+z", "[", "Space". Digits are matched by position, letters and signs by the
 * character that they produce; if it is not Latin, or with Alt, which changes it on some systems, by the character of a
 * US keyboard at that position. Null while text is being composed.
 *
 * @param {KeyboardEvent} event
 * @returns {string | null}
 */
export function keyName(event) {
  if (event.isComposing || event.keyCode === 229 || ["Process", "Dead"].includes(event.key)) return null;
  const composed = event.getModifierState?.("AltGraph") ?? false;
  const alt = event.altKey && !composed;
  const text = !composed && isForeign(event.key) ? atPlace(event) : (alt && atPlace(event)) || event.key;
  const digit = composed ? null : /^Digit(\d)$/.exec(event.code) ?? /^(\d)$/.exec(text);
  let name = text.length === 1 ? text.toLowerCase() : text;
  if (text === " ") name = "Space";
  if (digit) name = digit[1];
  const control = (event.ctrlKey || event.metaKey) && !composed;
  const shift = event.shiftKey && (digit || name.length > 1 || name !== name.toUpperCase());
  return `${control ? "Ctrl+" : ""}${alt ? "Alt+" : ""}${shift ? "Shift+" : ""}${name}`;
}

const ROW_OF = new Map(TABLE.flatMap((row) => row.keys.map((key, index) => [key, { row, index }])));

/**
 * The action of a key press; `index` is the position of the key in its row. Null if the key is not bound.
 *
 * @param {KeyboardEvent} event
 * @param {unknown} desk - truthy on the annotation desk
 * @returns {{action: string, index: number} | null}
 */
export function actionOf(event, desk) {
  const found = ROW_OF.get(keyName(event));
  return found && (desk || !found.row.desk) ? { action: found.row.action, index: found.index } : null;
}

// Controls that take keys themselves.
const CONTROLS = ["toolbar", "radiogroup", "slider", "spinbutton", "combobox", "grid", "tree", "tablist", "listbox",
  "menu", "menubar", "separator"].map((role) => `[role=${role}]`).concat("canvas", "video", "audio");

/** Whether a key belongs to the element on which it was pressed: a text field, or a control outside the stage. */
export function isTaken(target, stage) {
  return Boolean(target.closest("input, textarea, select, [contenteditable]")
    || (!stage.contains(target) && target.closest(CONTROLS.join(", "))));
}

const NAMES = { ArrowLeft: "←", ArrowRight: "→", Delete: "Del", Escape: "Esc" };

/** How the table shows a row's keys. */
export function keysText(row) {
  const spellPart = (part) => NAMES[part] ?? (part.length === 1 ? part.toUpperCase() : part);
  const spell = (key) => key.split(/\+(?!$)/).map(spellPart).join("+");
  return row.show ?? row.keys.map(spell).join(" or ");
}
