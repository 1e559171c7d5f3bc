// One camera: its image with masks, its numbers, its last 30 seconds, and the list of its objects.

import { make } from "./dom.js";
import { drawnMask, layerOf, objectsOf, owners } from "./masks.js";
import { drawNames, nameOf } from "./names.js";
import { decodedJpeg, valuesOf } from "./pixels.js";

const HISTORY_MS = 30_000;
const MOST_HISTORY_BYTES = 192 << 20;
const REPORT_EVERY_MS = 400;
const REPORT_PAUSED_EVERY_MS = 100;
const RATE_FRAMES = 15;
const MOST_ZOOM = 4;

export class Tile {
  // shared: options of the view, isShown and thresholds of the editor. onPoint(tile, region): a place was marked.
  // onReady(tile): a frame was drawn and the next one may come. onObject(tile, object): an object of the list was chosen.
  constructor(camera, shared, { onPoint, onObject, onReady }) {
    this.camera = camera;
    this.shared = shared;
    this.onReady = onReady;
    this.onObject = onObject;
    this.history = [];
    this.bytes = 0;
    this.times = [];
    this.shown = null;
    this.paused = false;
    this.queue = [];
    this.reported = 0;
    this.build();
    this.listenToPointer(onPoint);
  }

  build() {
    this.canvas = make("canvas", {
      width: 640, height: 480, tabIndex: 0, role: "img", aria: { label: `${this.camera}: no image yet` },
      onkeydown: (event) => this.onKey(event),
    });
    this.layer = document.createElement("canvas");
    this.pause = make("button", { type: "button", text: "Pause", onclick: () => this.setPaused(!this.paused) });
    this.back = make("button", { type: "button", text: "◀", aria: { label: "One image back" }, onclick: () => this.step(-1) });
    this.forth = make("button", { type: "button", text: "▶", aria: { label: "One image on" }, onclick: () => this.step(1) });
    this.time = make("input", {
      type: "range", className: "time", min: 0, max: 0, value: 0, aria: { label: "Image of the last 30 seconds" },
      oninput: () => this.go(Number(this.time.value)),
    });
    this.numbers = make("span", { class: "numbers" });
    this.rows = make("tbody");
    this.element = make("figure", { class: "tile", aria: { label: `Camera ${this.camera}` } },
      this.canvas,
      make("figcaption", {},
        make("div", { class: "bar" }, make("strong", { text: this.camera }), this.numbers),
        make("div", { class: "bar" }, this.pause, this.back, this.forth, this.time),
        make("div", { class: "scroll" }, make("table", {},
          make("thead", {}, make("tr", {}, ...["object", "pixels", "place (m)"].map((text) => make("th", { text, scope: "col" })))),
          this.rows))));
    this.element.dataset.camera = this.camera;
  }

  // --- frames ---

  async receive(header, parts) {
    const frame = { ...header, parts, objects: objectsOf(header, parts.runs), received: performance.now() };
    if (this.length) this.history = [];
    this.remember(frame);
    this.countRate(frame);
    if (this.paused && !this.length) { this.report(); this.onReady(this); return; }
    this.queue.push(frame);
    if (this.queue.length > 1) return; // it is shown after the one that is being decoded
    while (this.queue.length) {
      try { await this.show(this.queue[0], true); } catch (error) { this.numbers.textContent = `an image cannot be shown: ${error.message}`; }
      this.queue.shift();
      this.onReady(this);
    }
  }

  remember(frame) {
    const size = (f) => Object.values(f.parts).reduce((sum, part) => sum + part.byteLength, 0);
    this.history.push(frame);
    this.bytes += size(frame);
    const oldest = () => (this.history[0] === this.shown ? 1 : 0); // what is shown stays, however long it is paused
    while (this.history.length > oldest() + 1
      && (frame.received - this.history[oldest()].received > HISTORY_MS || this.bytes > MOST_HISTORY_BYTES)) {
      this.bytes -= size(this.history.splice(oldest(), 1)[0]);
    }
  }

  showTime() {
    if (this.length) return;
    this.time.max = this.history.length - 1;
    this.time.value = this.paused ? this.history.indexOf(this.shown) : this.history.length - 1;
  }

  countRate(frame) {
    this.times.push(frame.received);
    if (this.times.length > RATE_FRAMES) this.times.shift();
  }

  // isNew: it was received just now, and is not shown any more if the tile was paused while it was decoded.
  async show(frame, isNew = false) {
    if (!frame) return;
    if (!frame.bitmap) {
      const bitmap = await decodedJpeg(frame.parts.image);
      if (frame.bitmap || this.isClosed) bitmap.close(); else frame.bitmap = bitmap; // not twice, nor for a closed tile
      if (this.isClosed) return;
      if (frame.parts.confidence) frame.confidence = await valuesOf(frame.parts.confidence, frame.width, frame.height);
    }
    if (isNew && this.shown && !this.length && (this.paused || this.shown.received > frame.received)) { this.free(frame); return; }
    if (this.shown && this.shown !== frame) this.free(this.shown);
    this.shown = frame;
    this.draw();
    if (isNew) this.element.dataset.frames = Number(this.element.dataset.frames ?? 0) + 1;
  }

  // Frees what the tile holds: it is not shown any more.
  close() {
    this.isClosed = true;
    clearTimeout(this.later);
    this.element.remove();
    if (this.shown) this.free(this.shown);
  }

  // Frees what is decoded again when a frame is shown again.
  free(frame) {
    frame.bitmap?.close();
    frame.bitmap = null;
    if (!frame.probed) frame.confidence = null;
  }

  // Draws what is shown again, after a change of options or thresholds.
  draw() {
    const frame = this.shown;
    if (!frame?.bitmap) return;
    const { options, isShown, thresholds } = this.shared;
    const { owner, areas } = owners(frame, isShown, thresholds(), this.owner);
    const { canvas, layer } = this;
    resize(layer, frame.width, frame.height);
    this.pixels = layerOf(frame, owner, options, this.pixels);
    layer.getContext("2d").putImageData(this.pixels, 0, 0);
    // Names are written in pixels of the screen, which a small image has more than its own of.
    const seen = (canvas.clientWidth || frame.width) * devicePixelRatio;
    const zoom = Math.max(1, Math.min(MOST_ZOOM, Math.round(seen / frame.width)));
    resize(canvas, frame.width * zoom, frame.height * zoom);
    const context = canvas.getContext("2d");
    context.setTransform(zoom, 0, 0, zoom, 0, 0);
    context.imageSmoothingEnabled = false;
    context.drawImage(frame.bitmap, 0, 0, frame.width, frame.height);
    context.drawImage(layer, 0, 0);
    const scale = (frame.width * devicePixelRatio) / seen;
    if (options.names) drawNames(context, frame, areas, scale, options.positions);
    if (this.marked?.lengths) this.drawMarked(context);
    if (this.region) this.drawRegion(context, scale);
    this.owner = owner;
    this.areas = areas;
    this.element.dataset.stamp = frame.stamp;
    this.element.dataset.version = frame.version ?? "";
    this.report();
  }

  // Returns the shown frame and its masks as they are drawn: names, boxes and run lengths.
  drawn() {
    const { shown: frame, owner } = this;
    const masks = frame.objects.map((object, index) => ({ name: object.name, ...drawnMask(owner, frame.width, index + 1, object.box) }));
    return { frame, masks: masks.filter((mask, index) => this.areas[index]) };
  }

  drawMarked(context) {
    const { width, height } = this.shown;
    const frame = { width, height, objects: [{ id: 0, name: "", colour: "#d6007a", score: 1, ...this.marked }] };
    const { owner } = owners(frame, () => true, new Map());
    this.layer.getContext("2d").putImageData(layerOf(frame, owner, { opacity: 0.5, outlines: true }), 0, 0);
    context.drawImage(this.layer, 0, 0);
  }

  drawRegion(context, scale) {
    const { x, y, width, height } = this.region;
    context.lineWidth = 2 * scale;
    context.strokeStyle = "#fff";
    context.strokeRect(x, y, Math.max(width, 1), Math.max(height, 1));
    context.setLineDash([4 * scale, 4 * scale]);
    context.strokeStyle = "#d6007a";
    context.strokeRect(x, y, Math.max(width, 1), Math.max(height, 1));
    context.setLineDash([]);
  }

  describe() {
    const frame = this.shown;
    const gaps = this.times.length - 1;
    const rate = gaps > 0 ? (1000 * gaps) / (this.times[gaps] - this.times[0]) : 0;
    const parts = this.length
      ? [frame.title, `${frame.index + 1} of ${this.length}`, `${frame.width}×${frame.height}`]
      : [`${frame.width}×${frame.height}`, `${rate.toFixed(1)} Hz`];
    if (frame.age_ms !== null) parts.push(`latency ${frame.age_ms.toFixed(0)} ms`);
    const carried = (BigInt(frame.stamp) - BigInt(frame.inferred)) / 1_000_000n;
    if (carried > 0n) parts.push(`carried from ${carried} ms before`);
    parts.push(frame.version === null ? "no results" : `vocabulary ${frame.version}`);
    if (this.skipped) parts.push(`${this.skipped} skipped`);
    if (this.paused && !this.length) parts.push(`paused, ${((performance.now() - frame.received) / 1000).toFixed(1)} s ago`);
    this.numbers.textContent = parts.join(" · ");
  }

  // Writes the numbers, the list and the place in time. Not at every frame: no person could read it, and the layout of
  // the page takes as long as the drawing of the image.
  report() {
    if (!this.shown) return;
    const now = performance.now();
    const due = this.reported + (this.paused || this.length ? REPORT_PAUSED_EVERY_MS : REPORT_EVERY_MS);
    clearTimeout(this.later);
    if (now < due) { this.later = setTimeout(() => this.report(), due - now); return; }
    this.reported = now;
    this.describe();
    this.showTime();
    this.list();
  }

  // Lists the objects for people who do not see the image, and their pixels. A row marks its object, also from the keyboard:
  // rows stay when the next image comes, and with them the focus.
  list() {
    const { shown: frame, areas } = this;
    const listed = frame.objects.map((object, index) => [object, areas[index]]).filter(([, area]) => area);
    while (this.rows.children.length > listed.length) this.rows.lastChild.remove();
    for (const [place, [object, area]] of listed.entries()) {
      const row = this.rows.children[place] ?? this.addRow();
      const texts = [nameOf(object, false), area, object.position?.map((value) => value.toFixed(2)).join(", ") ?? ""];
      row.object = object;
      for (const [column, text] of texts.entries()) {
        const cell = column ? row.children[column] : row.firstChild.firstChild;
        if (cell.textContent !== String(text)) cell.textContent = text;
      }
    }
    this.canvas.setAttribute("aria-label", `${this.camera}: ${listed.map(([object]) => object.name).join(", ") || "no objects"}`);
  }

  addRow() {
    const mark = make("button", { type: "button", class: "object", title: "Mark this object" });
    const row = make("tr", {}, make("td", {}, mark), make("td"), make("td"));
    mark.addEventListener("click", () => {
      const object = row.object;
      this.setPaused(true);
      if (this.shown.objects.includes(object)) this.onObject(this, object);
    });
    this.rows.append(row);
    return row;
  }

  // --- thresholds below those in force ---

  // Has the shown image segmented once with hardly any threshold: after that every threshold is drawn from its
  // confidences. segment(frame): the answer of the studio. colourOf: of the name of a class.
  async probe(segment, colourOf) {
    const frame = this.shown;
    if (!frame || frame.probed) return;
    frame.probed = true;
    this.wasLive ??= !this.paused;
    this.setPaused(true);
    try {
      const answer = await segment(frame);
      frame.unprobed = { objects: frame.objects, confidence: frame.confidence };
      frame.objects = objectsOf(answer, answer.parts.runs);
      for (const object of frame.objects) object.colour = colourOf(object.name) ?? object.colour;
      frame.confidence = await valuesOf(answer.parts.confidence, frame.width, frame.height);
      this.draw();
    } catch (error) {
      frame.probed = false;
      throw error;
    }
  }

  // Shows the published results again, and live ones if the image was not paused before.
  endProbe() {
    for (const frame of this.history) {
      if (!frame.probed) continue;
      if (frame.unprobed) Object.assign(frame, frame.unprobed);
      frame.probed = false;
    }
    if (this.wasLive) this.setPaused(false);
    this.wasLive = null;
  }

  // --- time ---

  setPaused(paused) {
    this.paused = paused;
    this.pause.textContent = paused ? "Live" : "Pause";
    if (!paused) { this.region = this.marked = null; this.show(this.history.at(-1)); } else { this.reported = 0; this.draw(); }
  }

  // Makes the tile one of images that are chosen, not live. choose(index): has the studio show one.
  setLength(length, choose) {
    if (this.length === length) return;
    if (this.length === undefined) this.time.value = 0;
    this.length = length;
    this.choose = choose;
    this.time.max = length - 1;
    this.pause.hidden = true;
    this.time.setAttribute("aria-label", "Image");
  }

  go(place) {
    if (this.length) { this.time.value = place; this.choose(place); return; }
    this.setPaused(true);
    this.show(this.history[place]);
  }

  step(by) {
    if (this.length) { this.go(Math.max(0, Math.min(this.length - 1, Number(this.time.value) + by))); return; }
    this.setPaused(true);
    const place = Math.max(0, Math.min(this.history.length - 1, this.history.indexOf(this.shown) + by));
    this.time.value = place;
    return this.show(this.history[place]);
  }

  onKey(event) {
    const action = { " ": () => this.setPaused(!this.paused), ArrowLeft: () => this.step(-1), ArrowRight: () => this.step(1) }[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  }

  // --- pointing ---

  listenToPointer(onPoint) {
    let start = null;
    const place = (event) => {
      const box = this.canvas.getBoundingClientRect();
      const clamp = (value, most) => Math.max(0, Math.min(most - 1, value));
      return {
        x: clamp(((event.clientX - box.left) / box.width) * this.shown.width, this.shown.width),
        y: clamp(((event.clientY - box.top) / box.height) * this.shown.height, this.shown.height),
      };
    };
    const region = (event) => {
      const end = place(event);
      return {
        x: Math.min(start.x, end.x), y: Math.min(start.y, end.y),
        width: Math.abs(end.x - start.x), height: Math.abs(end.y - start.y),
      };
    };
    this.canvas.addEventListener("pointerdown", (event) => {
      if (!this.shown || event.button !== 0) return;
      this.canvas.setPointerCapture(event.pointerId);
      this.setPaused(true);
      start = place(event);
    });
    this.canvas.addEventListener("pointermove", (event) => {
      if (!start) return;
      this.region = region(event);
      this.draw();
    });
    this.canvas.addEventListener("pointerup", (event) => {
      if (!start) return;
      this.region = region(event);
      start = null;
      this.draw();
      onPoint?.(this, this.region);
    });
    this.canvas.addEventListener("pointercancel", () => { start = null; });
  }
}

function resize(canvas, width, height) {
  if (canvas.width === width && canvas.height === height) return;
  canvas.width = width;
  canvas.height = height;
}
