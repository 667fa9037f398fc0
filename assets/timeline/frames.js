const STAMP = .002;     // seconds; a little more than the rounding of frame times in containers

/** When each frame of a video is on screen. Labels refer to frames; the player seeks to the middle of a frame. */
export class Frames {
  /**
   * times: seconds at which each frame appears, from the file's timestamps; null if unknown, then frames are assumed to
   * be evenly spaced at fps. start: the player's clock when frame 0 appears; plain: these times hold even in a player
   * that interprets the file differently (see `VideoInfo`).
   */
  constructor({ times = null, fps, duration, start = 0, plain = true }) {
    Object.assign(this, { times, fps, duration, start, plain });
    this.count = times ? times.length : Math.max(1, Math.round(duration * fps));
  }

  /** The frame on screen at a time, clamped to the first and the last. */
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
   * The frame of this file that a label is on: the one it names, if that appears at the label's time. Labels from a
   * point file name frames by the average rate, which are others in a file with uneven frames.
   */
  of({ frame, time }) {
    const named = this.clamp(frame);
    return Math.abs(this.time(named) - time) <= STAMP ? named : this.at(time + STAMP);
  }

  /** Seconds at which a frame appears. */
  time(frame) {
    return this.times ? this.times[frame] : frame / this.fps;
  }

  /** Seconds at the middle of a frame's time on screen, the safest time to seek to. */
  middle(frame) {
    const end = frame + 1 < this.count ? this.time(frame + 1) : Math.max(this.duration, this.time(frame));
    return (this.time(frame) + end) / 2;
  }

  clamp(frame) {
    return Math.min(Math.max(frame, 0), this.count - 1);
  }

  /** The frame that a player presents at this media time, which it rounds to microseconds. */
  presented(mediaTime) {
    return this.at(mediaTime - this.start + 5e-4);
  }
}
