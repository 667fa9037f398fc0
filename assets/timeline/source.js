/** Polls the file of a video: it may be replaced, vanish and return, or need a copy to play. */

import { Frames } from "./frames.js";

const PAUSE = 2000;           // milliseconds between polls
const SHORT_PAUSE = 700;      // while a copy is being made

export class Source {
  #stopped = false;

  /**
   * base, path: of the routes; clock: plays the file and is given its frame times; onKnown(about, replaced): called
   * when the file's properties are known or the file was replaced; onNote(text): why it does not play, "" if it does.
   */
  constructor({ base, path, clock, onKnown, onNote }) {
    Object.assign(this, { base, path, clock, onKnown, onNote });
    this.version = "";
    this.playing = "file";      // or "copy"; null if the file is gone
    this.copy = false;          // requested because this browser does not show the file correctly
    this.#follow();
  }

  stop() {
    this.#stopped = true;
  }

  async #follow() {
    for (let lost = false; !this.#stopped;) {
      const answer = await this.#look();
      if (this.#stopped) return;
      let pause = PAUSE;
      if (!answer) lost = true;
      else if (answer.fault) this.#close(answer.fault);
      else {
        pause = this.#take(answer, lost || this.clock.lost);
        lost = false;
      }
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }

  /** {about, times} (times empty if already known), {fault}, or null without a connection. */
  async #look() {
    try {
      const query = `known=${this.version}${this.copy ? "&copy" : ""}`;
      const response = await fetch(`${this.base}/frames/${this.path}?${query}`);
      if (!response.ok) return { fault: await response.text() };
      return { about: JSON.parse(response.headers.get("X-Video")),
        times: new Float64Array(await response.arrayBuffer()) };
    } catch {
      return null;
    }
  }

  #close(fault) {
    this.onNote(fault);
    if (this.playing) this.clock.open(null, this.clock.frames, this.clock.time);
    this.playing = null;
  }

  /** Play the file or its copy; returns the milliseconds until the next poll. */
  #take({ about, times }, lost) {
    const { clock } = this;
    const changed = about.version !== this.version;
    const replaced = changed && this.version !== "";
    const wanted = about.copy?.ready && (this.playing === "copy" || !clock.moving) ? "copy" : "file";
    const failed = (clock.fault || clock.misplaced) && this.playing === "file" && !changed;
    const frames = changed || wanted !== this.playing
      ? new Frames({ ...about, times: times.length ? times : clock.frames.times }) : clock.frames;
    if (changed) this.onKnown(about, replaced);
    if (wanted !== this.playing || replaced || (failed && lost)) {
      clock.open(`${this.base}/videos/${this.path}?${wanted}=${about.version}`, frames, clock.time);
    } else if (changed) clock.know(frames);
    this.copy = !changed && (this.copy || (failed && !lost));
    Object.assign(this, { version: about.version, playing: wanted });
    this.onNote(noteOf(about.copy));
    if (!about.copy) return failed ? 0 : PAUSE;
    return about.copy.ready || about.copy.fault ? PAUSE : SHORT_PAUSE;
  }
}

function noteOf(copy) {
  if (!copy || copy.ready) return "";
  if (copy.fault) return copy.fault;
  if (copy.done === null) return "Waiting to make a copy that browsers can play: another video has its turn.";
  const left = copy.left === null ? "" : `, ${copy.left} s left`;
  return `Making a copy that browsers can play: ${Math.round(copy.done * 100)}%${left}`;
}
