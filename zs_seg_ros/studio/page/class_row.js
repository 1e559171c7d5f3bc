// One class of the vocabulary: its name, threshold, prompts, negatives and example images.

import { make } from "./dom.js";

const lines = (text) => text.split("\n").map((line) => line.trim()).filter(Boolean);

// Returns what people edit of a class as one text.
export const keyOf = ({ name, threshold, prompts, negatives, exemplars }) =>
  JSON.stringify([name, threshold, prompts, negatives, exemplars.map(({ key }) => key)]);

export class ClassRow {
  constructor(entry, editor) {
    this.given = entry;
    this.editor = editor;
    this.threshold = entry.threshold;
    this.exemplars = [...entry.exemplars];
    this.build();
    this.showThreshold();
    this.showExamples();
  }

  get name() { return this.nameInput.value.trim(); }

  // The name under which results of the vocabulary in force have this class, also while another one is typed.
  get givenName() { return this.given.name; }

  // Returns what is edited as one text, as keyOf does of the class of a vocabulary.
  get key() { return keyOf(this.entry()); }

  // Takes the same words with the id and the colour that they have in force.
  renew(entry) {
    this.given = entry;
    this.swatch.style.backgroundColor = entry.colour;
    this.summary.textContent = this.summaryText();
  }

  get effectiveThreshold() { return this.threshold || this.editor.defaultThreshold; }

  // The class as the studio takes it.
  entry() {
    return {
      name: this.name, id: this.given.id, threshold: this.threshold,
      prompts: lines(this.prompts.value), negatives: lines(this.negatives.value),
      exemplars: this.exemplars.map(({ key }) => ({ key })),
    };
  }

  build() {
    const name = this.given.name;
    const touched = () => this.editor.touched();
    const enter = (event) => { if (event.key === "Enter" && !event.shiftKey) { event.preventDefault(); this.editor.apply(); } };
    this.nameInput = make("input", { value: name, aria: { label: "Name" }, oninput: touched, onkeydown: enter });
    this.nameInput.dataset.field = "name";
    this.swatch = make("span", { class: "swatch" });
    this.swatch.style.backgroundColor = this.given.colour;
    this.visible = make("input", {
      type: "checkbox", checked: this.editor.isShown(this.givenName), title: "Show its masks", aria: { label: `Show masks of ${name}` },
      onchange: () => this.editor.setShown(this.givenName, this.visible.checked),
    });
    this.slider = make("input", {
      type: "range", min: 0.01, max: 1, step: 0.01, aria: { label: `Threshold of ${name}` }, onkeydown: enter,
      oninput: () => { this.threshold = Number(this.slider.value); this.showThreshold(); this.editor.preview(); },
    });
    this.slider.dataset.field = "threshold";
    this.value = make("output");
    this.standard = make("button", {
      type: "button", text: "default", title: "The node's default_threshold",
      onclick: () => { this.threshold = 0; this.showThreshold(); this.editor.preview(); },
    });
    this.prompts = this.area(this.given.prompts, "prompts", touched);
    this.negatives = this.area(this.given.negatives, "negatives", touched);
    this.examples = make("div", { class: "examples" });
    this.summary = make("summary", { text: this.summaryText() });
    this.more = make("details", {}, this.summary,
      make("label", {}, "Prompts, one a line; none: the name", this.prompts),
      make("label", {}, "Not this (negatives), one a line", this.negatives), this.examples);
    this.warnings = make("ul", { class: "warnings", aria: { label: `Warnings about ${name}` } });
    this.element = make("li", { class: "class" },
      make("div", { class: "first" }, this.visible, this.swatch, this.nameInput,
        make("button", { type: "button", text: "Remove", aria: { label: `Remove ${name}` }, onclick: () => this.editor.remove(this) })),
      make("div", { class: "threshold" }, make("span", { text: "threshold" }), this.slider, this.value, this.standard),
      this.more, this.warnings);
    this.element.dataset.name = name;
  }

  area(texts, field, touched) {
    const area = make("textarea", { value: texts.join("\n"), oninput: touched });
    area.dataset.field = field;
    return area;
  }

  summaryText() {
    const { prompts, negatives } = this.given;
    const counts = [[prompts.length, "prompts"], [negatives.length, "negatives"], [this.exemplars.length, "example images"]];
    return counts.filter(([count]) => count).map(([count, what]) => `${count} ${what}`).join(", ") || "prompts, negatives, examples";
  }

  showThreshold() {
    this.slider.value = this.effectiveThreshold;
    this.value.textContent = this.effectiveThreshold.toFixed(2);
    this.standard.disabled = this.threshold === 0;
  }

  showExamples() {
    this.examples.replaceChildren(...this.exemplars.map((exemplar, place) => make("span", {},
      make("img", { src: exemplar.thumbnail, alt: `Example ${place + 1} of ${this.given.name}` }),
      make("button", {
        type: "button", text: "×", aria: { label: `Remove example ${place + 1}` },
        onclick: () => { this.exemplars.splice(place, 1); this.showExamples(); this.editor.touched(); },
      }))));
  }

  addExample(exemplar) {
    this.exemplars.push(exemplar);
    this.showExamples();
    this.editor.touched();
  }

  removeExample(key) {
    this.exemplars = this.exemplars.filter((each) => each.key !== key);
    this.showExamples();
  }

  // Takes a threshold and, where there are any, prompts.
  choose(threshold, prompts) {
    this.threshold = threshold;
    if (prompts.length) this.prompts.value = prompts.join("\n");
    this.showThreshold();
    this.editor.preview();
  }

  // Takes the prompts and examples of another class, which goes.
  merge(other) {
    const words = (row) => { const own = lines(row.prompts.value); return own.length ? own : [row.name]; };
    this.prompts.value = [...new Set([...words(this), ...words(other)])].join("\n");
    this.exemplars.push(...other.exemplars);
    this.showExamples();
    this.editor.remove(other);
  }

  addNegative(text) {
    this.negatives.value = [...lines(this.negatives.value), text].join("\n");
    this.editor.touched();
  }

  showWarnings(warnings) {
    if (!warnings.length && !this.warnings.firstChild) return;
    this.warnings.replaceChildren(...warnings.map(({ text }) => make("li", { text })));
  }

  get isOpen() { return this.more.open; }

  open() { this.more.open = true; }

  focus(field) { this.element.querySelector(`[data-field="${CSS.escape(field ?? "")}"]`)?.focus(); }
}
