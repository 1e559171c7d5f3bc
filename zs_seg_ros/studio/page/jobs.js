// Work that takes longer than a request: what begins it, its progress, and its result. One at a time, for all pages.

import { byId, make, show } from "./dom.js";
import { Measuring } from "./measuring.js";
import { ReplayTest } from "./replay_test.js";

export class Jobs {
  // shownTile(): the tile whose image the tools act on.
  constructor(connection, editor, { shownTile }) {
    this.connection = connection;
    this.kinds = {
      golden: new ReplayTest(this, { shownTile }),
      evaluate: new Measuring(this, editor, { kind: "evaluate", title: "Evaluate", text: "Evaluate the draft" }),
      tune: new Measuring(this, editor, { kind: "tune", title: "Tune", text: "Tune the draft" }),
    };
    this.progress = make("progress", { max: 1, value: 0, aria: { label: "Progress of the job" } });
    this.text = make("span", { role: "status" });
    this.cancel = make("button", { type: "button", text: "Cancel", onclick: () => this.end() });
    this.bar = make("div", { class: "bar" }, this.cancel, this.progress, this.text);
    this.problem = make("p", { class: "problem", role: "alert" });
    this.result = make("div", { class: "result", role: "status" });
    this.bar.hidden = this.problem.hidden = true;
    const { golden, evaluate, tune } = this.kinds;
    const measuring = make("div", { class: "bar" }, make("strong", { text: "On the labelled frames" }), evaluate.begin, tune.begin);
    byId("jobs").append(measuring, golden.element, this.bar, this.problem, this.result);
  }

  // Asks for a job, or for its end; a refusal is shown where results are. Returns whether it was accepted.
  async send(request) {
    try {
      await this.connection.ask(request);
      return true;
    } catch (error) { show(this.problem, error.message); return false; }
  }

  // Ends the job that is shown.
  async end() {
    this.cancel.disabled = true;
    if (!await this.send({ do: "cancel", number: this.number })) this.cancel.disabled = false;
  }

  // Shows the state of the newest job. The bar of one that has ended keeps its place, so that a late click on Cancel
  // meets nothing else.
  receive(job) {
    const running = job.state === "running";
    const name = this.kinds[job.kind]?.title ?? job.kind;
    this.bar.hidden = false;
    this.bar.classList.toggle("ended", !running);
    if (job.number !== this.number) this.cancel.disabled = false;
    this.number = job.number;
    if (job.total) this.progress.value = job.done / job.total; else this.progress.removeAttribute("value");
    const part = job.total ? `${job.done} of ${job.total}` : "";
    this.text.textContent = running ? [name, part, job.text].filter(Boolean).join(" · ") : "";
    show(this.problem, job.state === "failed" ? `${name}: ${job.text}` : "");
    const result = job.state === "done" ? this.kinds[job.kind]?.show(job.result) ?? [] : [];
    this.result.replaceChildren(...result);
    if (job.state === "cancelled") this.result.replaceChildren(make("p", { text: `${name} was cancelled.` }));
    for (const button of byId("jobs").querySelectorAll("button[data-begins]")) button.disabled = running;
  }
}
