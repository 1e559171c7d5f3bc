// An object that was clicked on or dragged over: its mask where there is one, and what to do with it.

import { byId, make } from "./dom.js";
import { maskOf, objectsOf } from "./masks.js";

const CLICK_PX = 4;
const CLICKED_SHARE = 0.12;

export class Pointing {
  constructor(connection, editor) {
    this.connection = connection;
    this.editor = editor;
    this.panel = byId("pointing");
  }

  // Marks a detected object.
  choose(tile, detected) {
    this.marked = { tile, frame: tile.shown, ...maskOf(detected), detected };
    this.build();
    this.show("The mask of the detection is used.");
    this.name.focus();
  }

  // Marks a place of a tile's image: a click has hardly any size.
  async mark(tile, region) {
    const frame = tile.shown;
    const isClick = region.width < CLICK_PX && region.height < CLICK_PX;
    this.marked = { tile, frame, ...this.guess(tile, region, isClick) };
    this.build();
    this.show("Looking for its mask…");
    const { width, height } = frame;
    const request = isClick
      ? { points: [[region.x + 0.5, region.y + 0.5, false]], box: null }
      : { points: [], box: boxOf(region, frame) };
    const { marked } = this;
    try {
      const answer = await this.connection.ask({ do: "point", width, height, ...request }, { image: frame.parts.image });
      if (this.marked !== marked) return; // another place was marked meanwhile
      const [object] = objectsOf(answer, answer.parts.runs);
      if (object) this.setMask(maskOf(object), "The model's mask of it.");
      else this.show("The model has no mask there: its detection or the region is used.");
    } catch (error) {
      if (this.marked !== marked) return;
      const what = this.marked.runs ? "the mask of the detection is used" : "the region is used";
      this.show(`No mask by the model, so ${what} (${error.message}).`);
    }
  }

  // What is marked before the model is asked: the detection at the place, or the region itself.
  guess(tile, region, isClick) {
    const frame = tile.shown;
    const x = Math.floor(region.x + region.width / 2);
    const y = Math.floor(region.y + region.height / 2);
    const owner = isClick ? tile.owner[y * frame.width + x] : 0;
    const detected = owner ? frame.objects[owner - 1] : null;
    if (detected) return { ...maskOf(detected), detected };
    if (!isClick) return { box: boxOf(region, frame), runs: null, detected: null };
    const side = Math.round(CLICKED_SHARE * Math.min(frame.width, frame.height));
    return { box: boxOf({ x: x - side / 2, y: y - side / 2, width: side, height: side }, frame), runs: null, detected: null };
  }

  setMask({ box, runs }, text) {
    Object.assign(this.marked, { box, runs });
    this.show(text);
  }

  // Draws what is marked, and says how it was.
  show(text) {
    const { tile, box, runs } = this.marked;
    const [x, y, width, height] = box;
    tile.region = { x, y, width, height };
    tile.marked = { box, lengths: runs };
    tile.draw();
    this.text.textContent = text;
  }

  // Builds the panel once for each mark, since people type in it while the model is asked.
  build() {
    const { detected } = this.marked;
    const names = this.editor.rows.map((row) => row.name);
    this.name = make("input", { value: detected?.name ?? "", aria: { label: "Class of the marked object" }, placeholder: "class name" });
    this.name.setAttribute("list", "class-names");
    const list = make("datalist", { id: "class-names" }, ...names.map((value) => make("option", { value })));
    this.negative = make("input", { aria: { label: "What it is instead" }, placeholder: "what it is: orange jacket" });
    const button = (text, action) => make("button", { type: "button", text, onclick: () => this.run(action) });
    this.panel.replaceChildren(
      this.text = make("p", { role: "status" }),
      make("div", { class: "bar" }, make("label", {}, "Class", this.name), list,
        button("Use as example", () => this.useAsExample()),
        button("Keep this one", () => this.keep()),
        make("button", { type: "button", text: "Close", onclick: () => this.close() })),
      make("div", { class: "bar" }, make("label", {}, "It is", this.negative), button("Not this", () => this.notThis())));
    this.panel.hidden = false;
    // On a phone the panel would lie on what was marked.
    if (matchMedia("(max-width: 60rem)").matches) this.marked.tile.element.scrollIntoView({ block: "start" });
  }

  close() {
    if (!this.marked) return;
    const { tile } = this.marked;
    tile.region = tile.marked = null;
    this.marked = null;
    this.panel.hidden = true;
    tile.setPaused(false);
  }

  // Does one thing at a time: a second click on a button whose answer takes a while does nothing.
  async run(action) {
    if (this.busy) return;
    this.busy = true;
    const { marked } = this;
    try {
      if (await action() !== false && this.marked === marked) this.close();
    } catch (error) { this.editor.say(error.message, true); } finally { this.busy = false; }
  }

  get parts() {
    const { frame, runs } = this.marked;
    return { image: frame.parts.image, ...(runs ? { runs: new Uint8Array(runs.slice().buffer) } : {}) };
  }

  get fields() {
    const { frame, box } = this.marked;
    return { width: frame.width, height: frame.height, box };
  }

  rowOf(name) { return this.editor.rows.find((row) => row.name === name) ?? this.editor.addClass({ name }); }

  async useAsExample() {
    const name = this.name.value.trim();
    if (!name) { this.editor.say("Type the name of its class first.", true); this.name.focus(); return false; }
    const { key, thumbnail } = await this.connection.ask({ do: "example", ...this.fields }, this.parts);
    const row = this.rowOf(name);
    row.addExample({ key, thumbnail });
    const isInForce = await this.editor.apply();
    if (!isInForce) row.removeExample(key);
    return isInForce;
  }

  async keep() {
    const { frame, detected } = this.marked;
    const typed = this.name.value.trim();
    const request = { do: "keep", camera: frame.camera, stamp: frame.stamp, name: typed === detected?.name ? "" : typed };
    const { name } = await this.connection.ask({ ...request, ...this.fields }, this.parts);
    this.editor.say(`${name} is followed from now on.`);
  }

  async notThis() {
    const name = this.name.value.trim();
    const text = this.negative.value.trim();
    const row = this.editor.rows.find((each) => each.name === name);
    if (!row || !text) {
      this.editor.say(row ? "Type what it is instead." : "Type the name of the class that it was taken for.", true);
      (row ? this.negative : this.name).focus();
      return false;
    }
    row.addNegative(text);
    return this.editor.apply();
  }
}

function boxOf({ x, y, width, height }, frame) {
  const left = Math.max(0, Math.min(frame.width - 2, Math.floor(x)));
  const top = Math.max(0, Math.min(frame.height - 2, Math.floor(y)));
  return [left, top, Math.max(2, Math.min(frame.width - left, Math.ceil(width))), Math.max(2, Math.min(frame.height - top, Math.ceil(height)))];
}
