/** Legend of the timeline's shapes: a compact line below it, and sentences in the keys dialog. */

import { el } from "./dom.js";

/** [class of the sample in timeline.css, text in the line or "", sentence] */
const DESK = [
  ["point", "point", "A diamond is a labelled point; hollow: flagged for review; pale: not saved yet."],
  ["solid", "annotated", "A solid bar is an annotated action from gt_full.json."],
  ["accepted", "accepted", "A solid bar with a thick lower edge is a segment that somebody accepted or corrected."],
  ["hatched", "detected (low to high score)",
    "A hatched bar is a detection of the chosen model: the stronger its colour, the higher its score."],
  ["framed", "", "A dashed frame is the segment that the model suggests for the selected point."],
];
const VIEWER = [
  ["point", "point", "A diamond is a labelled point."],
  ["solid", "annotated, RP or pseudo label", "A solid bar is an annotated action, a reliable proposal (RP) or a run of "
    + "pseudo labels; RP: the stronger the colour, the higher the score."],
  ["hatched", "detection, PP or NP (low to high score)", "A hatched bar is a detection or a proposal (PP: positive, NP: "
    + "negative): the stronger its colour, the higher its score."],
  ["", "PP 50/103: best 50 of 103", "PP 50/103: the video has 103 positive proposals of the class; the 50 with the "
    + "highest scores are shown. \"Best proposals\" above changes how many."],
];

/** @param {boolean} desk - for the annotation desk, else for the read-only viewer */
export function legendLine(desk) {
  const rows = (desk ? DESK : VIEWER).filter(([, text]) => text);
  return el("span", { class: "legend" }, ...rows.map(([sample, text, sentence]) =>
    el("span", { title: sentence }, sample ? el("i", { class: `sample ${sample}` }) : null, text)));
}

/** @param {boolean} desk */
export function legendList(desk) {
  return el("ul", { class: "legend", "aria-label": "Legend" }, ...(desk ? DESK : VIEWER).map(([sample, , sentence]) =>
    el("li", {}, el("i", { class: `sample ${sample}` }), el("span", {}, sentence))));
}
