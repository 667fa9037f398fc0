/** The time axis shared by all lanes: which part of the video is in view, and the position of each time. */
export class Axis {
  constructor(duration = 1) {
    this.left = 0;
    this.width = 1;
    this.reset(duration);
  }

  reset(duration) {
    this.duration = Math.max(duration, 1e-3);
    this.start = 0;
    this.end = this.duration;
  }

  /** Set the canvas columns that the axis covers. */
  place(left, width) {
    this.left = left;
    this.width = Math.max(width, 1);
  }

  get span() {
    return this.end - this.start;
  }

  x(seconds) {
    return this.left + ((seconds - this.start) / this.span) * this.width;
  }

  time(x) {
    return this.start + ((x - this.left) / this.width) * this.span;
  }

  /** Convert pixels to seconds. */
  seconds(pixels) {
    return (pixels / this.width) * this.span;
  }

  /** Zoom by a factor (above 1: in), keeping the time at x fixed. */
  zoom(factor, x) {
    const fixed = this.time(x);
    const span = Math.min(Math.max(this.span / factor, .2), this.duration);
    const start = fixed - ((x - this.left) / this.width) * span;
    this.show(start, start + span);
  }

  pan(seconds) {
    this.show(this.start + seconds, this.end + seconds);
  }

  /** Show this range, shifted to lie within the video. */
  show(start, end) {
    const span = Math.min(Math.max(end - start, .2), this.duration);
    this.start = Math.min(Math.max(start, 0), this.duration - span);
    this.end = this.start + span;
  }

  /** Bring a time into view by moving a page, as when the playhead leaves the view. */
  follow(seconds) {
    if (seconds < this.start || seconds > this.end) this.show(seconds - this.span * .05, seconds + this.span * .95);
  }
}

const STEPS = [.1, .2, .5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600];

/** Times of the ruler's marks, far enough apart for their labels, and the labels' number of decimals. */
export function ticks(axis, room = 70) {
  const least = axis.seconds(room);
  const step = STEPS.find((candidate) => candidate >= least) ?? STEPS.at(-1);
  const marks = [];
  for (let index = Math.ceil(axis.start / step - 1e-9); index * step <= axis.end; index += 1) marks.push(index * step);
  return { marks, decimals: step < 1 ? 1 : 0 };
}

/** 75.5 -> "1:15.50"; with hours only from 1 h on. */
export function clockText(seconds, decimals = 2) {
  const unit = 10 ** decimals;
  const total = Math.max(0, Math.round(seconds * unit));
  const minutes = Math.floor(total / unit / 60);
  const rest = ((total - minutes * 60 * unit) / unit).toFixed(decimals).padStart(decimals ? decimals + 3 : 2, "0");
  const hours = Math.floor(minutes / 60);
  return hours ? `${hours}:${String(minutes % 60).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}
