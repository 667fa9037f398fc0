/** Dialogs. Each resolves to the user's answer, or to null if it was closed without one. */

import { button, el } from "./dom.js";
import { mergeClass, removeClass, renameClass, styleClasses } from "./edits.js";

/** parent: element to append the dialog to; build(close) -> its children; `close(answer)` closes it. */
function ask(parent, label, build) {
  return new Promise((resolve) => {
    let answer = null;
    const finish = () => {
      dialog.remove();
      resolve(answer);
    };
    const close = (given) => {
      answer = given;
      dialog.close();
      finish();                                            // before the next key: the event waits for the next frame
    };
    const dialog = el("dialog", { class: "ask", "aria-label": label, onclose: finish }, el("h3", {}, label));
    dialog.append(...build(close));
    parent.append(dialog);
    dialog.showModal();
    dialog.querySelector("[autofocus]")?.select();
  });
}

function form(onsubmit, ...children) {
  return el("form", { onsubmit: (event) => {
    event.preventDefault();
    onsubmit();
  } }, ...children);
}

/** Ask for the annotator's name; asked once, kept in this browser, and editable in the bar below. */
export async function askName(parent, input) {
  const name = await ask(parent, "Your name", (close) => {
    const field = el("input", { type: "text", value: input.value, maxlength: "200", "aria-label": "Name",
      autofocus: true });
    return [el("p", {}, "It is saved with each label that you set."),
      form(() => close(field.value.trim()), field, el("button", { type: "submit" }, "Start"))];
  });
  if (name) input.value = name;
  input.dispatchEvent(new Event("change"));
}

/** Ask why points are flagged for review: a text, "" to clear the flag, null to change nothing. */
export function askNote(parent, note) {
  return ask(parent, "Note for review", (close) => {
    const field = el("input", { type: "text", value: note, maxlength: "500", "aria-label": "Note", autofocus: true,
      placeholder: "to review" });
    return [form(() => close(field.value.trim() || "to review"), field, el("button", { type: "submit" }, "Flag")),
      el("div", { class: "row" }, button("Clear flag", "Clear flag", () => close("")),
        button("Cancel", "Cancel", () => close(null)))];
  });
}

/** Show the operations that the server rejected, to copy or discard. aside: Aside. */
export async function showAside(parent, aside) {
  const text = aside.all.map(({ reason, text: operation }) => `${reason}\n${operation}`).join("\n\n");
  const discard = await ask(parent, "Set aside", (close) => [
    el("p", {}, "The server cannot take these operations, so they are not saved with the labels. They are kept in this "
      + "browser only. Set the labels again if they are missing, or copy the text and report it; then discard it."),
    el("textarea", { readonly: "", rows: "8", "aria-label": "Operations set aside" }, text),
    el("div", { class: "row" }, button("Delete them from this browser", "Discard", () => close(true)),
      button("Close", "Close", () => close(false)))]);
  if (discard) aside.discard();
}

/** Edit name, colour, key and position of a class, merge it into another or remove it. desk: Desk. */
export async function editClass(desk, name) {
  const { labels, current: video } = desk;
  const entry = labels.entry(name);
  const others = labels.classes.filter((other) => other !== name);
  const operation = await ask(desk.root, `Class ${name}`, (close) => {
    const title = el("input", { type: "text", value: name, maxlength: "200", "aria-label": "Class name" });
    const colour = el("input", { type: "color", value: desk.colour(name), "aria-label": "Colour" });
    const key = el("select", { "aria-label": "Key" }, el("option", { value: "" }, "automatic"),
      ..."1234567890".split("").map((digit) => el("option", { value: digit }, digit)));
    key.value = entry.style.key ?? "";
    const { length } = labels.classes;
    const place = el("select", { "aria-label": "Position" },
      ...labels.classes.map((_, index) => el("option", { value: `${index}` }, `${index + 1} of ${length}`)));
    place.value = `${labels.classes.indexOf(name)}`;
    const into = el("select", { "aria-label": "Merge into" }, el("option", { value: "" }, "…"),
      ...others.map((other) => el("option", { value: other }, other)));
    const used = entry.count ? { disabled: true, title: `It has points (${entry.count}). Merge it into another class instead` } : {};
    const rename = () => {
      const next = title.value.trim();
      if (next && next !== name) close(renameClass(video, entry, next));
    };
    const recolour = (value) => close(styleClasses(video, [entry], () => ({ colour: value })));
    return [
      form(rename, el("label", {}, "Name ", title), el("button", { type: "submit" }, "Rename")),
      form(() => recolour(colour.value), el("label", {}, "Colour ", colour),
        el("button", { type: "submit" }, "Set colour"), button("Use the palette's colour again", "Reset colour", () => recolour(undefined))),
      form(() => close(giveKey(video, labels, name, key.value)), el("label", {}, "Digit key ", key),
        el("button", { type: "submit" }, "Set key")),
      form(() => close(movePlace(video, labels, name, Number(place.value))), el("label", {}, "Position ", place),
        el("button", { type: "submit" }, "Move")),
      others.length ? form(() => into.value && close(mergeClass(video, entry, labels.entry(into.value))),
        el("label", {}, "Merge into ", into), el("button", { type: "submit" }, "Merge")) : "",
      el("div", { class: "row" }, button("Remove this class", "Remove", () => close(removeClass(video, entry)), used),
      button("Close", "Close", () => close(null)))];
  });
  if (operation) desk.push(operation);
  if (operation?.kind === "rename" && desk.classes.active === name) {
    const [next] = Object.keys(operation.after);
    Object.assign(desk.classes, { active: next, former: name });
    desk.stage.activeLane = next;
  }
  desk.stage.focus();
}

/** Give a class a digit key; the class that had it falls back to an automatic one. */
export function giveKey(video, labels, name, digit) {
  const entries = labels.classes.map((other) => labels.entry(other));
  return styleClasses(video, entries.filter((entry) => entry.name === name || (digit && entry.style.key === digit)),
    (entry) => ({ key: entry.name === name ? digit || undefined : undefined }));
}

/** Move a class to another position; stores the positions of all classes. */
export function movePlace(video, labels, name, place) {
  const names = labels.classes.filter((other) => other !== name);
  names.splice(place, 0, name);
  return styleClasses(video, names.map((other) => labels.entry(other)),
    (entry) => ({ place: names.indexOf(entry.name) }));
}
