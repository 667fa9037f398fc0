const STAMP = .002;     // seconds that a container may round a frame's time by, and a little more

/** When each frame of a video is on screen. Labels name frames; the player is asked for a frame's middle. */
export class Frames {
  /**
   * times: seconds at which each frame appears, from the file's own stamps, or null where they are not known;
   * then frames are taken to be even at fps. start: where the player's clock stands when frame 0 appears; plain: even a
   * player that reads the file its own way goes by these times (see `VideoInfo`).
   */
  constructor({ times = null, fps, duration, start = 0, plain = true }) {
    Object.assign(this, { times, fps, duration, start, plain });
    this.count = times ? times.length : Math.max(1, Math.round(duration * fps));
  }

  /** The frame on screen at a moment: the first before it begins, the last after it ends. */
  at(seconds) {
    const moment = seconds + 1e-6;
    if (!this.times) return this.clamp(Math.floor(moment * this.fps));
    let low = 0;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.times[middle] <= moment) low = middle + 1;
      else high = middle;
    }
    return this.clamp(low - 1);
  }

  /**
   * The frame of this file that a label is on: the one it names, if that appears at the label's time. Labels from a point
   * file name frames by the average rate, which in an uneven file are others.
   */
  of({ frame, time }) {
    const named = this.clamp(frame);
    return Math.abs(this.time(named) - time) <= STAMP ? named : this.at(time + STAMP);
  }

  /** Seconds at which a frame appears. */
  time(frame) {
    return this.times ? this.times[frame] : frame / this.fps;
  }

  /** Seconds at which a frame has been on screen for half its time: a player asked for this shows no other. */
  middle(frame) {
    const end = frame + 1 < this.count ? this.time(frame + 1) : Math.max(this.duration, this.time(frame));
    return (this.time(frame) + end) / 2;
  }

  clamp(frame) {
    return Math.min(Math.max(frame, 0), this.count - 1);
  }

  /** The frame that a player presents with this media time, which it rounds to microseconds. */
  presented(mediaTime) {
    return this.at(mediaTime - this.start + 5e-4);
  }
}
