// Two vocabularies or two models on one image, one beside the other.

import { byId, make } from "./dom.js";
import { layerOf, objectsOf, owners } from "./masks.js";
import { drawNames, nameOf } from "./names.js";
import { decodedJpeg } from "./pixels.js";

export class Comparison {
  // shownTile(): the tile whose image is compared. options(): of the view.
  constructor(connection, editor, { shownTile, options }) {
    Object.assign(this, { connection, editor, shownTile, options });
    const onchange = (event) => { event.target.dataset.isChosen = "yes"; };
    this.left = make("select", { aria: { label: "First vocabulary" }, onchange });
    this.right = make("select", { aria: { label: "Second vocabulary" }, onchange });
    this.models = ["First model", "Second model"].map((label) => make("select", { aria: { label }, hidden: true }));
    this.result = make("div", { class: "compared" });
    byId("tools").append(
      make("div", { class: "bar" }, make("strong", { text: "Compare" }), this.left, this.models[0], "with", this.right, this.models[1],
        make("button", { type: "button", text: "Compare on this image", onclick: () => this.run() }),
        make("button", { type: "button", text: "Clear", onclick: () => this.result.replaceChildren() })),
      this.result,
      make("div", { class: "bar" }, make("strong", { text: "Ground truth" }),
        make("button", { type: "button", text: "Save as a labelled frame", onclick: () => this.save() }),
        this.saved = make("span", { role: "status" })));
    this.fill();
  }

  // Offers the draft, and the vocabularies of the history.
  fill() {
    const editions = this.editor.inForce?.history ?? [];
    for (const [select, first] of [[this.left, 1], [this.right, this.models[0].hidden ? 0 : 1]]) {
      const before = select.value;
      const texts = editions.map((each, place) =>
        [`${each.edition}`, `version ${each.version}${place ? "" : ", in force"}: ${each.names.join(", ").slice(0, 40)}`]);
      const all = [["draft", "the draft"], ...texts];
      setOptions(select, all);
      const isThere = select.dataset.isChosen && all.some(([value]) => value === before);
      select.value = isThere ? before : all[Math.min(first, all.length - 1)][0];
    }
  }

  // Offers the models that the studio has, where there are two.
  receive({ models }) {
    if (this.models[0].dataset.names === JSON.stringify(models)) return;
    for (const [place, select] of this.models.entries()) {
      select.dataset.names = JSON.stringify(models);
      select.hidden = models.length < 2;
      select.replaceChildren(...models.map((text, value) => make("option", { value, text })));
      if (models.length) select.value = Math.min(place, models.length - 1);
    }
    this.fill();
  }

  async run() {
    const tile = this.shownTile();
    if (!tile?.shown) { this.editor.say("There is no image to compare on yet.", true); return; }
    const frame = tile.shown;
    try {
      const figures = await Promise.all([this.left, this.right].map((select, place) => this.figure(frame, select, this.models[place])));
      this.result.replaceChildren(...figures);
    } catch (error) { this.editor.say(error.message, true); }
  }

  // Saves the shown image with the masks that are drawn on it now: hidden classes, and pixels below thresholds that are
  // not applied, are left out.
  async save() {
    const tile = this.shownTile();
    if (!tile?.shown) { this.editor.say("There is no image to save yet.", true); return; }
    const { frame, masks } = tile.drawn();
    const runs = masks.map((mask) => mask.runs);
    const objects = masks.map(({ name, box }, place) => ({ name, box, runs: runs[place].length }));
    const joined = new Uint32Array(runs.reduce((sum, each) => sum + each.length, 0));
    let begin = 0;
    for (const each of runs) { joined.set(each, begin); begin += each.length; }
    const { width, height } = frame;
    const classes = this.editor.rows.map((row) => row.givenName).filter((name) => this.editor.isShown(name));
    try {
      const { count, path } = await this.connection.ask(
        { do: "save", width, height, objects, classes }, { image: frame.parts.image, runs: new Uint8Array(joined.buffer) });
      this.saved.textContent = `${count} frames in ${path}`;
    } catch (error) { this.editor.say(error.message, true); }
  }

  async figure({ width, height, parts }, select, model) {
    const what = select.value === "draft" ? { classes: this.editor.classes } : { edition: Number(select.value) };
    if (model.value === "1") what.against = true;
    const texts = [select.selectedOptions[0].textContent, model.selectedOptions[0]?.textContent].filter(Boolean);
    const answer = await this.connection.ask({ do: "segment", width, height, ...what }, { image: parts.image });
    const frame = { ...answer, objects: objectsOf(answer, answer.parts.runs) };
    for (const object of frame.objects) object.colour = this.editor.colourOf(object.name) ?? object.colour;
    const { owner, areas } = owners(frame, () => true, new Map());
    const canvas = make("canvas", { width: 2 * width, height: 2 * height, role: "img" });
    const layer = make("canvas", { width, height });
    layer.getContext("2d").putImageData(layerOf(frame, owner, { ...this.options(), heat: false }), 0, 0);
    const bitmap = await decodedJpeg(parts.image);
    const context = canvas.getContext("2d");
    context.scale(2, 2);
    context.drawImage(bitmap, 0, 0, width, height);
    bitmap.close();
    context.drawImage(layer, 0, 0);
    drawNames(context, frame, areas, width / 400, false);
    const rows = frame.objects.map((object, index) => `${nameOf(object, false)}: ${areas[index]} pixels`);
    canvas.setAttribute("aria-label", rows.join(", ") || "no objects");
    return make("figure", { class: "tile" }, canvas, make("figcaption", {},
      make("strong", { text: texts.join(" · ") }),
      answer.age_ms === null ? "" : ` ${answer.age_ms.toFixed(0)} ms`,
      make("ul", {}, ...rows.map((text) => make("li", { text })))));
  }
}

// Gives a list these [value, text], without building anew those that it has.
function setOptions(select, all) {
  const byValue = new Map([...select.options].map((option) => [option.value, option]));
  for (const [place, [value, text]] of all.entries()) {
    const option = byValue.get(value) ?? make("option", { value });
    if (option.textContent !== text) option.textContent = text;
    if (select.options[place] !== option) select.insertBefore(option, select.options[place] ?? null);
  }
  while (select.options.length > all.length) select.lastChild.remove();
}
