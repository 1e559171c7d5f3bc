// Evaluates and tunes on the labelled frames, in a process of the studio, and takes what was chosen into the draft.

import { make } from "./dom.js";

const share = (value) => (value === null || value === undefined ? "–" : value.toFixed(3));
const gain = (value) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(3)}`;

function table(caption, heads, rows) {
  return make("div", { class: "scroll" }, make("table", {}, make("caption", { text: caption }),
    make("thead", {}, make("tr", {}, ...heads.map((text) => make("th", { text, scope: "col" })))),
    make("tbody", {}, ...rows.map((cells) => make("tr", {}, ...cells.map((cell) =>
      (cell instanceof Node ? make("td", {}, cell) : make("td", { text: cell }))))))));
}

export class Measuring {
  // kind: evaluate or tune. text: of its button.
  constructor(jobs, editor, { kind, title, text }) {
    Object.assign(this, { jobs, editor, kind, title });
    this.begin = make("button", { type: "button", text, onclick: () => jobs.send({ do: kind, classes: editor.classes }) });
    this.begin.dataset.begins = kind;
  }

  show(result) { return this.kind === "tune" ? this.tuned(result) : this.evaluated(result); }

  evaluated({ model, images, mean_iou, classes, findings }) {
    const rows = classes.map((each) => [each.name, share(each.iou), share(each.precision), share(each.recall), share(each.boundary_iou), each.pixels]);
    return [
      table(`${model} on ${images} labelled frames: mean IoU ${share(mean_iou)}`, ["class", "IoU", "precision", "recall", "boundary IoU", "pixels"], rows),
      make("ul", { class: "findings" }, ...findings.map((text) => make("li", { text }))),
    ];
  }

  tuned({ before, after, classes, proposals }) {
    const changed = classes.filter((each) => !each.problem);
    const rows = classes.map((each) => [each.name, share(each.before), share(each.after),
      each.problem || `threshold ${each.threshold.toFixed(2)}${each.prompts.length ? `, only the prompt ${each.prompts.join(", ")}` : ""}`,
      each.problem ? "" : this.button("Take", `Take the choice for ${each.name}`, () => this.take(each))]);
    const list = proposals.map((each) => make("li", {}, `${each.text} `,
      this.button("Take", `Take the proposal for ${each.names.join(" and ")}`, () => this.takeProposal(each))));
    return [
      table(`Mean IoU ${share(before)} now, ${share(after)} expected (${gain(after - before)})`, ["class", "IoU now", "tuned", "what changes", ""], rows),
      ...(changed.length ? [this.button("Take all into the draft", "", () => changed.map((each) => this.take(each)).some(Boolean))] : []),
      make("ul", { class: "findings" }, ...list),
    ];
  }

  // act(): returns whether the draft has the class.
  button(text, label, act) {
    const button = make("button", { type: "button", text, ...(label ? { aria: { label } } : {}) });
    button.addEventListener("click", () => {
      const isTaken = act();
      button.disabled = isTaken;
      this.editor.say(isTaken ? "Taken into the draft. Apply puts it in force." : "The draft has no such class any more.", !isTaken);
    });
    return button;
  }

  rowOf(name) { return this.editor.rows.find((row) => row.name === name); }

  take({ name, threshold, prompts }) {
    const row = this.rowOf(name);
    row?.choose(threshold, prompts);
    return Boolean(row);
  }

  takeProposal({ names, negative }) {
    const [row, other] = names.map((name) => this.rowOf(name));
    if (!row || (names.length > 1 && !other)) return false;
    if (negative) row.addNegative(negative);
    else row.merge(other);
    return true;
  }
}
