/** The only clock: the requested frame, the frame that the browser presented, and playback. */

const TRIES = 8;              // seeks per requested frame
const ECHO = 1e-4;            // seconds; a frame's timestamp is farther than this from where the clock seeks it
const RATES = [.1, .25, .5, .75, 1, 1.25, 1.5, 2, 3, 4, 8];

export class Clock {
  static #echoes = false;
  #target = null;
  #aim = null;
  #told = null;
  #last = 0;
  #callback = null;

  /** video: the <video>; onChange(): called after any change here. */
  constructor(video, onChange) {
    Object.assign(this, { video, onChange, frames: null, ready: false, fault: "", misplaced: false, lost: false,
      measured: false });
    this.rate = 1;
    this.reverse = 0;
    this.range = null;
    this.asked = 0;
    this.shown = null;
    for (const name of ["play", "pause", "ratechange", "loadeddata"]) video.addEventListener(name, () => onChange());
    video.addEventListener("loadedmetadata", () => {
      if (!video.videoWidth) return this.#fail();          // it cannot decode the pictures and plays sound only
      if (Clock.#echoes) return this.#measure();
      this.ready = true;
      this.#seek();
    });
    video.addEventListener("seeked", () => {
      if (this.asked !== null && this.asked !== this.#target) this.#seek();
      else this.#judge();
    });
    video.addEventListener("ended", () => this.seekFrame(this.frames.count - 1));
    video.addEventListener("error", () => this.#fail());
  }

  #fail() {
    this.ready = false;
    this.lost = this.video.error?.code === MediaError.MEDIA_ERR_NETWORK;
    this.fault = this.lost ? "Connection to the video lost; retrying."
      : "The browser cannot play this file.";
    this.onChange();
  }

  /** Open another video at a time; without a file url is null, and only the playhead moves. */
  open(url, frames, seconds = 0) {
    if (this.#callback !== null) this.video.cancelVideoFrameCallback(this.#callback);
    Object.assign(this, { frames, ready: false, fault: "", misplaced: false, lost: false, measured: false, shown: null,
      range: null, reverse: 0 });
    this.#target = null;
    this.#aim = null;
    this.asked = frames.at(seconds);
    if (url) {
      this.video.src = url;
      this.video.playbackRate = this.rate;
      this.#watch();
    } else {
      this.video.removeAttribute("src");
      this.video.load();
    }
    this.onChange();
  }

  /** Take more exact frame times and keep the current position. */
  know(frames) {
    const seconds = this.time;
    if (this.measured) frames.start = this.frames.start;
    this.frames = frames;
    if (!this.playing) this.seek(seconds);
    this.onChange();
  }

  get playing() {
    return !this.video.paused && !this.video.ended;
  }

  get moving() {
    return this.playing || this.reverse > 0;
  }

  /** The frame on screen is unknown: the browser does not report it, and may interpret the file's times differently. */
  get blind() {
    return this.measured && !this.frames.plain;
  }

  /** Position of the playhead in seconds. */
  get time() {
    if (this.playing) return Math.min(Math.max(this.video.currentTime - this.frames.start, 0), this.frames.duration);
    return this.frames ? this.frames.time(this.frames.clamp(this.asked ?? this.shown ?? 0)) : 0;
  }

  /** The frame that a label at the playhead refers to: the visible one. */
  get frame() {
    return this.playing ? this.shown ?? this.frames.at(this.time) : this.asked ?? this.shown ?? 0;
  }

  seek(seconds) {
    this.seekFrame(this.frames.at(seconds));
  }

  seekFrame(frame) {
    this.asked = this.frames.clamp(frame);
    if (this.ready && !this.video.seeking) this.#seek();
    this.onChange();
  }

  step(count) {
    this.pause();
    this.seekFrame(this.frame + count);
  }

  playPause() {
    if (this.moving) this.pause();
    else this.play();
  }

  play(rate = this.rate) {
    if (!this.ready) return;
    this.reverse = 0;
    this.video.playbackRate = rate;
    this.video.play().catch((error) => {
      if (error.name !== "NotAllowedError") return;
      this.video.muted = true;
      this.video.play().catch(() => {});
    });
  }

  pause() {
    const frame = this.frame;
    this.range = null;
    this.reverse = 0;
    this.video.pause();
    this.video.playbackRate = this.rate;
    if (this.frames) this.seekFrame(frame);
  }

  /** Play a range of the video, once or in a loop. */
  playRange(start, end, loop) {
    this.seek(start);
    this.play();
    this.range = { start: Math.max(start, 0), end: Math.min(end, this.frames.duration), loop };
  }

  /** J and L: direction -1 or 1; each repetition doubles the speed, up to ×8. */
  shuttle(direction) {
    if (!this.ready) return;
    if (direction > 0) {
      const rate = this.playing ? Math.min(this.video.playbackRate * 2, 8) : this.rate;
      this.play(rate);
    } else {
      const rate = this.reverse ? Math.min(this.reverse * 2, 8) : 1;
      if (this.playing) this.pause();
      this.reverse = rate;
      this.#last = performance.now();
    }
    this.onChange();
  }

  changeRate(direction) {
    const index = RATES.findIndex((rate) => rate >= this.rate);
    this.rate = RATES[Math.min(Math.max(index + direction, 0), RATES.length - 1)];
    this.video.playbackRate = this.rate;
    this.onChange();
  }

  /** Called in each animation frame while something moves. */
  tick(now) {
    if (this.reverse) {
      const back = ((now - this.#last) / 1000) * this.reverse;
      const frame = this.frames.at(Math.max(this.frames.time(this.asked) - back, 0));
      if (frame !== this.asked) {
        this.#last = now;
        this.seekFrame(frame);
        if (frame === 0) this.pause();
      }
    }
    const last = this.range && this.range.end - .5 / this.frames.fps;
    if (this.range && this.playing && this.time >= last) {
      const { start, loop } = this.range;
      if (!loop) this.pause();
      this.seek(loop ? start : last);                      // it may have played on while the browser was busy
    }
  }

  #seek() {
    this.#target = this.asked;
    this.#aim = { seconds: this.frames.middle(this.asked), low: -Infinity, high: Infinity, tries: 0 };
    this.#shoot();
  }

  #shoot() {
    this.#aim.at = performance.now();
    this.#aim.seen = null;
    this.video.currentTime = this.#aim.first ? 0 : this.#aim.seconds + this.frames.start;
  }

  /**
   * After a seek, Firefox reports the time that was requested instead of the frame's timestamp, and its clock may have
   * any value at the first frame. A seek to 0 reports that value, since no frame begins earlier.
   */
  #measure(before = this.#told) {
    Clock.#echoes = true;
    this.#aim = { first: true, before };
    this.#shoot();
  }

  #begin(start) {
    this.frames.start = start;
    this.measured = this.ready = true;
    this.#seek();
  }

  /**
   * A player may assume a wrong duration for a frame and then show a neighbour of the requested one: seek again, a
   * little later or earlier.
   */
  #judge() {
    const aim = this.#aim;
    if (typeof aim?.seen !== "number" || this.video.seeking || this.moving) return;
    if (aim.first && aim.seen && aim.seen === aim.before) return this.#measure(null);   // late report of the last frame
    if (aim.first) return this.#begin(aim.seen);
    const half = this.frames.middle(this.asked) - this.frames.time(this.asked);
    if (!this.measured && half > 10 * ECHO
        && Math.abs(aim.seen - aim.seconds - this.frames.start) < ECHO) return this.#measure();
    if (this.blind && !this.misplaced) {
      this.misplaced = true;
      this.onChange();
    }
    if (!this.frames.times || this.asked !== this.#target || this.shown === this.asked) return;
    const late = this.shown > this.asked;
    aim[late ? "high" : "low"] = aim.seconds;
    aim.tries += 1;
    if (aim.tries >= TRIES || aim.high - aim.low < 1e-3) {
      this.misplaced = true;
      this.onChange();
      return;
    }
    aim.seconds = Number.isFinite(aim.high - aim.low) ? (aim.low + aim.high) / 2
      : aim.seconds + .9 * (late ? -half : half);      // not a frame's start: its timestamp would look like an echo
    this.#shoot();
  }

  /** Ask the browser which frame it presents: the only source for what was really on screen. */
  #watch() {
    this.#callback = this.video.requestVideoFrameCallback((_now, { mediaTime, presentationTime }) => {
      this.#watch();                                      // at once: frames without a waiting callback are not reported
      this.#told = mediaTime;
      if (this.#aim && presentationTime >= this.#aim.at) this.#aim.seen = mediaTime;
      if (!this.#aim?.first) this.shown = this.frames.presented(mediaTime);
      if (this.playing) this.asked = this.video.seeking ? this.asked : null;
      this.onChange();
      this.#judge();
    });
  }
}
