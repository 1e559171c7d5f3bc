// A golden file of replay_test from a span of the recording.

import { make } from "./dom.js";

export class ReplayTest {
  constructor(jobs, { shownTile }) {
    this.jobs = jobs;
    this.shownTile = shownTile;
    this.title = "Replay test";
    this.first = this.number("First image of the replay test");
    this.last = this.number("Last image of the replay test");
    this.name = make("input", { value: "golden", aria: { label: "Name of the golden file" } });
    this.begin = make("button", { type: "button", text: "Make this a replay test", onclick: () => this.run() });
    this.begin.dataset.begins = "golden";
    this.element = make("div", { class: "bar" }, make("strong", { text: this.title }),
      "from", this.first, this.here("From here", this.first), "to", this.last, this.here("To here", this.last),
      make("label", {}, "as", this.name), this.begin);
  }

  number(label) { return make("input", { type: "number", min: 1, value: 1, aria: { label } }); }

  here(text, input) {
    return make("button", { type: "button", text, onclick: () => { input.value = (this.shownTile()?.shown?.index ?? 0) + 1; } });
  }

  run() {
    const tile = this.shownTile();
    return this.jobs.send({
      do: "replay_test", camera: tile?.camera ?? "", first: Math.round(Number(this.first.value)) - 1,
      last: Math.round(Number(this.last.value)) - 1, name: this.name.value.trim(),
    });
  }

  show({ path, frames, bytes, exemplars, recording }) {
    const command = `ros2 run zs_seg_ros replay_test ${recording} --golden ${path}`;
    const lines = [make("p", { text: `${frames} images in ${path}, ${Math.ceil(bytes / 1000)} kB. It is checked with:` }), make("code", { text: command })];
    if (exemplars) lines.push(make("p", { text: "Example images are not kept in it: name the node's --params-file there." }));
    return lines;
  }
}
