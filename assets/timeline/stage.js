/** The video and the canvas below it, shared by the annotation desk and the read-only viewer. */

import { columnOf, fetchArray } from "./arrays.js";
import { Axis, clockText } from "./axis.js";
import { Clock } from "./clock.js";
import { button, el, icon, put } from "./dom.js";
import { Frames } from "./frames.js";
import { edgeAt, nearestPoint, pointsInBox, rowAt, windowPart } from "./hit.js";
import { actionOf, isTaken, keysText, TABLE } from "./keys.js";
import { bands, contentHeight, GUTTER, LANE, pinnedRows, rowsInView, scrollTo } from "./lanes.js";
import { legendLine, legendList } from "./legend.js";
import { paint, paintMarks, paintPlayhead } from "./paint.js";
import { Source } from "./source.js";

const CLICK = 4;              // pixels of movement that still count as a click
const MARGIN = 16;            // pixels below the last lane
const ROOM_FOR_FILM = 190;    // height in pixels of the timeline from which the filmstrip is shown
const MARKS_PAUSE = 1000;     // milliseconds; the overview's marks are many and not urgent
const ZOOM = 1.5;             // per key press
const TEXT_PAUSE = 100;       // milliseconds between text changes while playing: each triggers layout

export class Stage {
  #asked = false;
  #stale = false;
  #said = 0;
  #drag = null;
  #marksOf = null;
  #marksStale = null;
  #observer = null;
  #onKey = (event) => this.#key(event);
  #film = null;

  /**
   * desk: the annotation desk's handlers, or null: {place(lane, seconds), pick(point, more), selected(points, more),
   * drop(points, frames, label), lift(points, frames, label) -> ghosts, reshape(segment, edge, seconds) -> {start, end},
   * correct(segment, start, end), act(action, index)}. The desk may set: activeLane; watched: spans that were played;
   * suggestion: the model's segment; edges: the segment whose edges Shift-drag corrects; dimmed(point): whether a point
   * is filtered out; onTick().
   */
  constructor({ base, dataset, desk }) {
    Object.assign(this, { base, dataset, desk, lanes: [], selection: new Set(), scroll: 0, activeLane: null,
      watched: [], suggestion: null, edges: null, dimmed: null, onTick: null });
    this.axis = new Axis();
    this.overview = new Axis();
    this.marks = document.createElement("canvas");
    this.still = document.createElement("canvas");
    this.#build();
    this.clock = new Clock(this.video, () => this.#next());
    document.addEventListener("keydown", this.#onKey, true);
    this.#observer = new ResizeObserver(() => this.changed());
    this.#observer.observe(this.canvas);
    this.repaintAll = setInterval(() => this.changed(), 1000);     // a theme change fires no event
  }

  dispose() {
    document.removeEventListener("keydown", this.#onKey, true);
    this.#observer.disconnect();
    clearInterval(this.repaintAll);
    clearTimeout(this.#marksStale);
    this.source?.stop();
    this.video.removeAttribute("src");
    this.video.load();
    this.gone = true;
  }

  #build() {
    this.video = el("video", { preload: "auto", playsinline: true, tabindex: "-1", "aria-label": "Video" });
    this.video.addEventListener("click", () => this.clock.playPause());
    this.fault = el("p", { class: "fault", role: "alert", hidden: true });
    this.canvas = el("canvas", {
      tabindex: "0", role: "application",
      "aria-label": "Timeline. Space plays, arrows move, question mark shows all keys.",
    });
    for (const [name, handler] of Object.entries({
      pointerdown: (event) => this.#down(event), pointermove: (event) => this.#move(event),
      pointerup: (event) => this.#up(event), pointercancel: () => this.#cancel(),
      dblclick: (event) => this.#twice(event),
    })) this.canvas.addEventListener(name, handler);
    this.canvas.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    this.canvas.stage = this;
    const act = (name) => () => this.#act(name, 0);
    this.playButton = button("Play or pause (Space)", icon("play"), act("playPause"));
    this.timeText = el("span", { class: "time" });
    this.rateText = el("span", { class: "rate", title: "Playback speed (+ and -)" });
    this.frameBadge = el("span", { class: "badge frame", role: "status", title: "The frame that is on screen; "
      + "✓: the browser confirms that it is the one that was asked for" });
    this.tools = el("span", { class: "tools" });
    this.transport = el("div", { class: "transport" },
      button("Previous frame (,)", icon("back"), act("frameBack")), this.playButton,
      button("Next frame (.)", icon("forward"), act("frameForward")), this.timeText, this.rateText,
      button("Fit the selection or the whole video (F)", icon("fit"), act("fit")), this.frameBadge, this.tools,
      button("Keys and legend (?)", "?", act("help"), { class: "help" }));
    this.help = this.#buildHelp();
    this.timeline = el("div", { class: "timeline" }, this.canvas);
    this.foot = el("div", { class: "foot" }, legendLine(Boolean(this.desk)));
    this.root = el("div", { class: "stage" }, el("div", { class: "screen" }, this.video, this.fault), this.transport,
      this.timeline, this.foot, this.help);
    this.root.addEventListener("click", (event) => {
      if (event.detail > 0 && event.target.closest("button")) this.focus();
    });
  }

  #buildHelp() {
    const rows = TABLE.filter((row) => this.desk || !row.desk)
      .map((row) => el("tr", {}, el("th", { scope: "row" }, keysText(row)), el("td", {}, row.does)));
    const mouse = this.desk
      ? "Click in a lane: add a point. Drag a point: move it, also to another lane. Double click: play 2 s around it. "
        + "Shift+drag: correct an edge of the suggested or accepted segment. Drag over empty lanes: select. "
        + "Wheel: zoom. Shift+wheel or middle button: pan. Wheel over the names: scroll."
      : "Click: go there. Double click: play 2 s around it. Wheel: zoom. Shift+wheel or middle button: pan.";
    const dialog = el("dialog", { class: "keys", "aria-label": "Keys and legend" }, el("table", {}, ...rows),
      el("p", {}, mouse), legendList(Boolean(this.desk)));
    dialog.append(el("form", { method: "dialog" }, el("button", {}, "Close")));
    return dialog;
  }

  focus() {
    this.canvas.focus({ preventScroll: true });
  }

  /** Show a video {id, duration, fps, file}; its frame times and filmstrip are then fetched from their routes. */
  open(video, seconds = 0) {
    this.source?.stop();
    this.current = video;
    const path = `${encodeURIComponent(this.dataset)}/${encodeURIComponent(video.id)}`;
    this.#film = this.#marksOf = null;
    this.timeText.style.minWidth = `${2 * clockText(video.duration).length + 3}ch`;
    this.#span(video.duration);
    const frames = new Frames(video);
    this.clock.open(video.file ? `${this.base}/videos/${path}` : null, frames, seconds);
    this.note = video.file ? ""
      : `No file for this video. Put it into ${this.dataset}/videos, named ${video.id}.mp4.`;
    this.changed();
    if (!video.file) return;
    this.source = new Source({ base: this.base, path, clock: this.clock,
      onKnown: (about, replaced) => {
        this.#span(about.duration);
        if (!replaced) return;
        this.#fetchFilm(video, path);
        this.desk?.say("This video's file was replaced. Its frame times were read again; the points are unchanged.");
      },
      onNote: (text) => {
        this.note = text;
        this.changed();
      } });
    this.#fetchFilm(video, path);
  }

  async #fetchFilm(video, path) {
    const response = await fetch(`${this.base}/thumbs/${path}`).catch(() => null);
    if (!response?.ok || this.current !== video) return;
    const film = await response.json();
    const picture = new Image();
    picture.src = `${this.base}/thumbs/${path}?sprite`;
    await picture.decode().catch(() => null);
    if (this.current !== video || !picture.naturalWidth) return;
    this.#film = { ...film, picture };
    this.changed();
  }

  #span(duration) {
    const whole = this.axis.span >= this.axis.duration;
    this.overview.reset(duration);
    if (whole || this.axis.duration !== duration) this.axis.reset(duration);
  }

  /**
   * Reserve a fixed height for the timeline, whatever lanes are set later, so that the layout never moves.
   *
   * @param {number} count - number of class lanes
   * @param {number} more - pixels for other lanes
   */
  reserve(count, more) {
    this.reserved = true;
    this.#room(count * LANE + more);
  }

  #room(pixels) {
    this.timeline.style.setProperty("--lanes", `${bands(true).top + pixels + MARGIN}px`);
  }

  /**
   * Replace the lanes, see app/timeline.py. A lane with `points` and `editable` takes labels; lanes with `pinned`,
   * which come last, stay at the lower edge.
   */
  setLanes(lanes) {
    this.lanes = lanes;
    if (!this.reserved) this.#room(contentHeight(lanes));
    this.#marksStale ??= setTimeout(() => {
      this.#marksOf = this.#marksStale = null;
      this.changed();
    }, MARKS_PAUSE);
    for (const layer of lanes.flatMap((lane) => lane.layers)) if (layer.kind === "curve") this.#fetchCurve(layer);
    this.changed();
  }

  async #fetchCurve(layer) {
    if (layer.values) return;
    this.arrays ??= new Map();
    if (!this.arrays.has(layer.url)) this.arrays.set(layer.url, fetchArray(layer.url));
    const array = await this.arrays.get(layer.url);
    if (!array) {
      this.arrays.delete(layer.url);
      return;
    }
    layer.values = columnOf(array, layer.column);
    this.changed();
  }

  reveal(laneIndex) {
    if (laneIndex < 0 || !this.scene) return;
    const { top, bottom } = this.scene.bands;
    this.scroll = scrollTo(this.lanes, laneIndex, bottom - top, this.scroll);
    this.changed();
  }

  /** Repaint everything in the next animation frame. */
  changed() {
    this.#stale = true;
    this.#next();
  }

  /** Paint in the next animation frame; only the playhead, unless something else changed. */
  #next() {
    if (this.#asked || this.gone) return;
    this.#asked = true;
    requestAnimationFrame((now) => {
      this.#asked = false;
      if (this.gone || !this.clock.frames) return;
      this.clock.tick(now);
      this.onTick?.();
      this.#paint();
      if (this.clock.moving) this.#next();
    });
  }

  #paint() {
    const { axis, scene, clock } = this;
    const playhead = clock.time;
    if (clock.moving && !this.#drag) axis.follow(playhead);
    if (this.#stale || axis.start !== scene?.start || axis.end !== scene.end) this.#paintStill();
    if (!this.scene) return;
    this.scene.playhead = playhead;
    const context = this.canvas.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.still.width, this.still.height);
    context.drawImage(this.still, 0, 0);
    context.setTransform(this.scene.ratio, 0, 0, this.scene.ratio, 0, 0);
    paintPlayhead(context, this.scene);
    if (clock.moving && performance.now() < this.#said + TEXT_PAUSE) return;
    this.#said = performance.now();
    this.#say();
  }

  #paintStill() {
    const ratio = window.devicePixelRatio || 1;
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (!width || !height) return;
    this.#stale = false;
    for (const canvas of [this.canvas, this.still]) {
      if (canvas.width !== Math.round(width * ratio)) canvas.width = Math.round(width * ratio);
      if (canvas.height !== Math.round(height * ratio)) canvas.height = Math.round(height * ratio);
    }
    for (const axis of [this.axis, this.overview]) axis.place(GUTTER, width - GUTTER - 8);
    const place = bands(this.current?.file && height >= ROOM_FOR_FILM);
    const pinned = pinnedRows(this.lanes.filter((lane) => lane.pinned), place.top, height);
    const free = this.lanes.filter((lane) => !lane.pinned);
    place.bottom = pinned[0]?.y ?? height;
    const content = contentHeight(free);
    this.scroll = Math.max(0, Math.min(this.scroll, content - (place.bottom - place.top)));
    this.scene = {
      width, height, ratio, axis: this.axis, start: this.axis.start, end: this.axis.end, overview: this.overview,
      bands: place, lanes: this.lanes, content,
      rows: [...pinned, ...rowsInView(free, place.top, place.bottom, this.scroll)], scroll: this.scroll, film: this.#film ?? {},
      selection: this.selection, activeLane: this.activeLane, watched: this.watched, dimmed: this.dimmed,
      suggestion: this.#drag?.kind === "edge" ? this.#drag.segment : this.suggestion,
      theme: readTheme(this.canvas), marks: null,
      drag: this.#drag?.kind === "points" && this.#drag.moved ? this.#drag : null,
      box: this.#drag?.kind === "box" && this.#drag.moved ? this.#drag.box : null,
    };
    const marks = `${width} ${ratio} ${this.scene.theme.text} ${this.overview.duration}`;
    if (this.#marksOf !== marks) {
      this.#marksOf = marks;
      paintMarks(this.marks, this.scene, ratio);
    }
    if (this.marks.width) this.scene.marks = this.marks;
    const context = this.still.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    paint(context, this.scene);
  }

  #say() {
    const { clock } = this;
    const playing = clock.moving;
    if (this.saysPlaying !== playing) {
      this.saysPlaying = playing;
      this.playButton.replaceChildren(icon(playing ? "pause" : "play"));
    }
    put(this.timeText, `${clockText(clock.time)} / ${clockText(clock.frames.duration)}`);
    put(this.rateText, `×${clock.reverse ? -clock.reverse : this.video.playbackRate || clock.rate}`);
    const seen = clock.shown ?? "none";
    const agrees = clock.asked === null || clock.asked === clock.shown;
    put(this.frameBadge, !clock.ready ? `frame ${clock.frame}` : clock.blind ? `about frame ${seen}`
      : agrees ? `frame ${seen} ✓` : `frame ${clock.asked} asked, ${seen} shown`);
    this.frameBadge.classList.toggle("wrong", clock.ready && !agrees);
    const fault = this.note || clock.fault;
    put(this.fault, fault);
    this.fault.hidden = !fault;
  }

  #key(event) {
    const target = event.composedPath()[0];
    if (!this.root.isConnected || this.root.getRootNode().querySelector("dialog[open]")) return;
    if (target instanceof Element) {
      if (isTaken(target, this.root)) return;
      const elsewhere = target.closest("button, a, summary, [role=tab], [role=button]");
      if (elsewhere && ["Tab", " ", "Enter"].includes(event.key)) return;
    }
    const found = actionOf(event, this.desk);
    if (!found || this.#act(found.action, found.index) === false) return;
    event.preventDefault();
    event.stopPropagation();
  }

  #act(action, index) {
    const { clock } = this;
    const view = { zoomIn: () => this.#zoom(ZOOM), zoomOut: () => this.#zoom(1 / ZOOM),
      panBack: () => this.axis.pan(-this.axis.span / 4), panForward: () => this.axis.pan(this.axis.span / 4) };
    const jump = (seconds) => clock.seek(Math.min(Math.max(clock.time + seconds, 0), clock.frames.duration));
    const actions = {
      playPause: () => clock.playPause(), shuttleBack: () => clock.shuttle(-1), shuttleForward: () => clock.shuttle(1),
      frameBack: () => clock.step(-1), frameForward: () => clock.step(1), secondBack: () => jump(-1),
      secondForward: () => jump(1), fiveBack: () => jump(-5), fiveForward: () => jump(5),
      toStart: () => clock.seekFrame(0), toEnd: () => clock.seekFrame(clock.frames.count - 1),
      slower: () => clock.changeRate(-1), faster: () => clock.changeRate(1),
      fit: () => this.#fit(), loop: () => this.#loop(),
      help: () => this.help.showModal(),
    };
    if (!clock.frames) return false;
    if (action in view) {
      view[action]();
      this.changed();
      return true;
    }
    if (!(action in actions)) return this.desk.act(action, index);
    actions[action]();
    if (!clock.moving) this.axis.follow(clock.time);
    return true;
  }

  /** Zoom at the playhead, or at the centre if the playhead is not in view. */
  #zoom(factor) {
    const { axis, clock: { time } } = this;
    const seen = axis.start <= time && time <= axis.end;
    axis.zoom(factor, axis.x(seen ? time : (axis.start + axis.end) / 2));
  }

  #chosenSpan() {
    const times = this.lanes.flatMap((lane) => lane.points ?? []).filter((point) => this.selection.has(point.id))
      .map((point) => point.time);
    return times.length ? [Math.min(...times), Math.max(...times)] : null;
  }

  #fit() {
    const span = this.#chosenSpan();
    if (span) this.axis.show(span[0] - 2, span[1] + 2);
    else this.axis.show(0, this.axis.duration);
    this.changed();
  }

  #loop() {
    if (this.clock.range?.loop) {
      this.clock.pause();
      return;
    }
    const span = this.#chosenSpan();
    if (span) this.clock.playRange(span[0] - 1, span[1] + 1, true);
    else this.clock.playRange(this.axis.start, this.axis.end, true);
  }

  #spot(event) {
    const { left, top } = this.canvas.getBoundingClientRect();
    return { x: event.clientX - left, y: event.clientY - top };
  }

  #down(event) {
    if (!this.scene) return;
    const { x, y } = this.#spot(event);
    const { bands: place, rows } = this.scene;
    const more = event.shiftKey || event.ctrlKey;
    const begin = { x, y, moved: false, start: this.axis.start, end: this.axis.end, more };
    this.canvas.setPointerCapture(event.pointerId);
    if (event.button === 1) {
      event.preventDefault();
      this.#drag = { ...begin, kind: "pan" };
    } else if (event.button === 0) {
      const row = rowAt(rows, y);
      if (y < place.ruler.y) this.#drag = { ...begin, kind: "window", part: windowPart(this.overview, this.axis, x) };
      else if (y < place.top || !row?.lane.editable) this.#drag = { ...begin, kind: "scrub" };
      else this.#drag = this.#onLane(begin, row, x);
      if (this.#drag.kind === "scrub" && x >= GUTTER) this.clock.seek(this.axis.time(x));
      if (this.#drag.kind === "window" && this.#drag.part === "outside") this.#centre(x);
    }
  }

  #onLane(begin, row, x) {
    const edge = begin.more && this.edges?.label === row.lane.label && edgeAt(this.edges, this.axis, x);
    if (edge) return { ...begin, kind: "edge", of: this.edges, segment: { ...this.edges }, edge };
    const point = nearestPoint(row.lane.points, this.axis, x);
    if (!point) return { ...begin, kind: "box", row, box: { x0: x, y0: begin.y, x1: x, y1: begin.y } };
    if (begin.more || !this.selection.has(point.id)) this.desk.pick(point, begin.more);
    const points = this.lanes.flatMap((lane) => lane.points ?? []).filter((other) => this.selection.has(other.id));
    return { ...begin, kind: "points", point, points, ids: new Set(points.map((other) => other.id)), ghosts: [] };
  }

  #centre(x) {
    const half = this.axis.span / 2;
    this.axis.show(this.overview.time(x) - half, this.overview.time(x) + half);
    this.clock.seek(Math.min(Math.max(this.overview.time(x), 0), this.overview.duration));
    Object.assign(this.#drag, { start: this.axis.start, end: this.axis.end, part: "inside" });
  }

  #move(event) {
    const { x, y } = this.#spot(event);
    const drag = this.#drag;
    if (!drag) {
      this.#cursor(x, y);
      return;
    }
    if (!drag.moved && Math.hypot(x - drag.x, y - drag.y) < CLICK) return;
    drag.moved = true;
    if (drag.kind === "pan") {
      const seconds = ((drag.x - x) / this.axis.width) * (drag.end - drag.start);
      this.axis.show(drag.start + seconds, drag.end + seconds);
    } else if (drag.kind === "window") {
      const seconds = this.overview.seconds(x - drag.x);
      const { part, start, end } = drag;
      this.axis.show(part === "end" ? start : start + seconds, part === "start" ? end : end + seconds);
    } else if (drag.kind === "scrub") {
      this.clock.seek(Math.min(Math.max(this.axis.time(x), 0), this.axis.duration));
    } else if (drag.kind === "points") {
      this.#lift(drag, x, y);
    } else if (drag.kind === "edge") {
      this.#pull(drag, x);
    } else {
      Object.assign(drag.box, { x1: x, y1: y });
      this.desk.selected(pointsInBox(this.scene.rows, this.axis, drag.box), drag.more);
    }
    this.changed();
  }

  #lift(drag, x, y) {
    const { frames } = this.clock;
    const here = frames.of(drag.point);
    drag.frames = frames.at(Math.max(drag.point.time, frames.time(here)) + this.axis.seconds(x - drag.x)) - here;
    const row = rowAt(this.scene.rows, y);
    drag.label = drag.points.length === 1 && row?.lane.editable ? row.lane.label : null;
    drag.ghosts = this.desk.lift(drag.points, drag.frames, drag.label);
    if (!this.clock.playing) this.clock.seekFrame(here + drag.frames);
  }

  /** Move an edge to the pointer, as far as it may go, and show the frame there. */
  #pull(drag, x) {
    Object.assign(drag.segment, this.desk.reshape(drag.segment, drag.edge, this.axis.time(x)));
    if (!this.clock.playing) this.clock.seek(drag.segment[drag.edge]);
  }

  #up(event) {
    const drag = this.#drag;
    this.#drag = null;
    if (!drag) return;
    const { x } = this.#spot(event);
    if (drag.kind === "points") {
      if (drag.moved) this.desk.drop(drag.points, drag.frames ?? 0, drag.label ?? null);
      else if (!this.clock.playing) this.clock.seekFrame(this.clock.frames.of(drag.point));
    } else if (drag.kind === "edge") {
      if (drag.moved) this.desk.correct(drag.of, drag.segment.start, drag.segment.end);
    } else if (drag.kind === "box" && !drag.moved) {
      if (x >= GUTTER) this.desk.place(drag.row.lane, Math.min(Math.max(this.axis.time(x), 0), this.axis.duration));
      else this.desk.choose(drag.row.lane);
    }
    this.changed();
  }

  #cancel() {
    this.#drag = null;
    this.changed();
  }

  #twice(event) {
    const { x, y } = this.#spot(event);
    if (x < GUTTER || y < this.scene.bands.ruler.y) return;
    const seconds = this.axis.time(x);
    this.clock.playRange(seconds - 2, seconds + 2, false);
  }

  #wheel(event) {
    event.preventDefault();
    const { x, y } = this.#spot(event);
    const { deltaX: across, deltaY: down } = event;     // in pixels as long as deltaMode is not read
    if (x < GUTTER && y > (this.scene?.bands.top ?? 0)) this.scroll += down;
    else if (event.shiftKey || Math.abs(across) > Math.abs(down)) this.axis.pan(this.axis.seconds(across || down));
    else this.axis.zoom(Math.exp(-down / 300), Math.max(x, GUTTER));
    this.changed();
  }

  #cursor(x, y) {
    if (!this.scene) return;
    const row = rowAt(this.scene.rows, y);
    let cursor = "default";
    if (y < this.scene.bands.ruler.y) {
      cursor = { start: "ew-resize", end: "ew-resize", inside: "grab", outside: "pointer" }[
        windowPart(this.overview, this.axis, x)];
    } else if (y < this.scene.bands.top) cursor = "pointer";
    else if (x >= GUTTER && row) {
      cursor = !row.lane.editable ? "pointer" : nearestPoint(row.lane.points, this.axis, x) ? "grab" : "crosshair";
    }
    this.canvas.style.cursor = cursor;
  }
}

/** The page's colours, which the canvas inherits as CSS variables. */
function readTheme(canvas) {
  const style = getComputedStyle(canvas);
  const colour = (name) => style.getPropertyValue(`--hr-${name}`).trim();
  return {
    ground: colour("ground"), soft: colour("soft"), text: colour("text"), faint: colour("faint"), line: colour("line"),
    accent: colour("accent"), veil: colour("veil"), font: style.fontFamily,
  };
}
