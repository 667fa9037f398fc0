/** Creation of elements. Text is always inserted as text, never as HTML. */

const LEAST_HEIGHT = 330;      // pixels: a window 800 pixels high at 150 % zoom still shows the whole timeline

const SHAPES = {
  play: "M5 3l10 6-10 6z", pause: "M4 3h4v12H4zM10 3h4v12h-4z", back: "M12 3v12L5 9zM3 3h2v12H3z",
  forward: "M6 3l7 6-7 6zM13 3h2v12h-2z", undo: "M7 3L2 8l5 5V9.5c4 0 6 1.5 7.5 4C14 9 11.5 6.5 7 6.500z",
  redo: "M11 3l5 5-5 5V9.500C7 9.5 5 11 3.5 13.5 4 9 6.5 6.5 11 6.500z",
  fit: "M2 2h5v2H4v3H2zM11 2h5v5h-2V4h-3zM2 11h2v3h3v2H2zM14 11h2v5h-5v-2h3z",
  new: "M9 2a7 7 0 100 14A7 7 0 009 2zm0 1.800a5.2 5.2 0 110 10.400A5.2 5.2 0 019 3.800z",
  work: "M9 2a7 7 0 100 14A7 7 0 009 2zm0 1.800v10.400A5.2 5.2 0 019 3.800z",
  pencil: "M3 15l1-4 7.500-7.500 3 3L7 14zM12.300 2.700l1-1 3 3-1 1z",
  flag: "M4 2h2v14H4zM7 3h8l-2.500 3L15 9H7z",
  scores: "M2 14l4-7 3 4 3-8 4 11h-2.200L11.700 8 9.300 14 6 10.500 4.300 14z",
  done: "M9 2a7 7 0 100 14A7 7 0 009 2zM8 12.400L4.6 9l1.3-1.300L8 9.800l4.1-4.100L13.4 7z",
};

/** Create an element: attributes by name, `on…` as listeners, children as elements or text. */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 18 18");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", SHAPES[name]);
  svg.append(path);
  return svg;
}

/** Set a text only if it differs, since each change triggers layout. */
export function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function button(label, content, onclick, attributes = {}) {
  return el("button", { type: "button", title: label, "aria-label": label, onclick, ...attributes }, content);
}

/** Extend an element to the window's lower edge through its CSS variable `--room`; returns {fit, stop}. */
export function fillWindow(element) {
  const fit = () => {
    const above = element.getBoundingClientRect().top;
    element.style.setProperty("--room", `${Math.max(innerHeight - Math.max(above, 0) - 12, LEAST_HEIGHT)}px`);
  };
  fit();
  window.addEventListener("resize", fit);
  return { fit, stop: () => window.removeEventListener("resize", fit) };
}

/** Until stopped, close Streamlit's dialog about a lost connection, which would block mouse and keys. */
export function closeOutageDialogs() {
  const observer = new MutationObserver(() => {
    for (const dialog of document.querySelectorAll('[data-testid="stDialog"]')) {
      if (dialog.querySelector("h2")?.textContent === "Connection error") dialog.querySelector("section button").click();
    }
  });
  observer.observe(document.body, { childList: true });
  return { stop: () => observer.disconnect() };
}

/** A virtual list with elements only for visible rows; `draw(item)` makes one, `key(item)` identifies it. */
export class List {
  #items = [];
  #top = 0;
  #height = 0;

  constructor({ rowHeight, draw, key, label }) {
    Object.assign(this, { rowHeight, draw, key });
    this.content = el("div", { class: "rows" });
    this.root = el("div", { class: "list", role: "list", "aria-label": label, onscroll: () => {
      this.#top = this.root.scrollTop;
      this.render();
    } }, this.content);
    new ResizeObserver(([{ contentRect }]) => {
      this.#height = contentRect.height;
      this.render();
    }).observe(this.root);
  }

  set(items) {
    this.#items = items;
    this.content.style.height = `${items.length * this.rowHeight}px`;
    this.render();
  }

  /** Touches only rows that changed, and measures nothing, since that would force a layout. */
  render() {
    const first = Math.max(0, Math.floor(this.#top / this.rowHeight) - 4);
    const last = Math.min(this.#items.length, Math.ceil((this.#top + this.#height) / this.rowHeight) + 4);
    const document = this.root.getRootNode();
    const held = this.root.contains(document.activeElement) ? document.activeElement : null;
    const heldKey = held?.closest("[data-key]")?.dataset.key;
    const known = new Map([...this.content.children].map((row) => [row.dataset.key, row]));
    this.#items.slice(first, last).forEach((item, index) => {
      const key = `${this.key(item)}`;
      const row = known.get(key)
        ?? el("div", { role: "listitem", "data-key": key, style: `height:${this.rowHeight}px` });
      known.delete(key);
      const drawn = this.draw(item);
      if (!row.firstChild?.isEqualNode(drawn)) row.replaceChildren(drawn);
      row.style.top = `${(first + index) * this.rowHeight}px`;
      if (this.content.children[index] !== row) this.content.insertBefore(row, this.content.children[index] ?? null);
    });
    for (const row of known.values()) row.remove();
    if (held && document.activeElement !== held) {
      const row = [...this.content.children].find((child) => child.dataset.key === heldKey);
      (held.isConnected ? held : row?.querySelector("button"))?.focus({ preventScroll: true });
    }
  }

  /** Scroll an item into view. */
  reveal(wanted) {
    const index = this.#items.findIndex((item) => this.key(item) === wanted);
    if (index < 0) return;
    const top = index * this.rowHeight;
    const bottom = top + this.rowHeight - Math.max(this.#height, this.rowHeight);
    const scroll = Math.max(Math.min(this.#top, top), bottom);
    if (scroll === this.#top) return;
    this.root.scrollTop = scroll;
    this.#top = this.root.scrollTop;
    this.render();
  }
}
