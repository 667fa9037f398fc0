/** Keeps the page's address at the desk's current video and time, so that a reload or a shared link opens them. */

const PAUSE = 500;        // milliseconds between changes: browsers refuse more than about 100 in 30 s

export class Address {
  #timer = null;
  #wanted = null;

  /** @param {{location?: Location, history?: History}} page - default: those of the window */
  constructor({ location = globalThis.location, history = globalThis.history } = {}) {
    Object.assign(this, { location, history, path: location.pathname });
  }

  /**
   * Show a moment, at once or after the pause since the last change. Does not add to the history.
   *
   * @param {string} video
   * @param {number} seconds
   */
  show(video, seconds) {
    this.#wanted = { video, t: Math.max(seconds, 0).toFixed(2) };
    if (this.#timer === null) this.#write();
  }

  stop() {
    clearTimeout(this.#timer);
    this.#timer = this.#wanted = null;
  }

  #write() {
    this.#timer = null;
    const wanted = this.#wanted;
    if (!wanted || this.location.pathname !== this.path) return;      // the user has left the page
    this.#wanted = null;
    const query = new URLSearchParams(this.location.search);
    if (query.get("video") === wanted.video && query.get("t") === wanted.t) return;
    query.set("video", wanted.video);
    query.set("t", wanted.t);
    this.history.replaceState(this.history.state, "", `${this.path}?${query}${this.location.hash}`);
    this.#timer = setTimeout(() => this.#write(), PAUSE);
  }
}
