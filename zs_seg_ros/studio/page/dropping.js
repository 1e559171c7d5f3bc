// Image files that are dropped onto the page, or chosen: they become one more camera.

import { byId } from "./dom.js";

const MOST_BYTES = 15 << 20; // the server reads messages of 16 MiB

export class Dropping {
  // onAdded(camera, index): a file is there, the last one of those that were dropped.
  constructor(connection, { onAdded, say }) {
    Object.assign(this, { connection, onAdded, say });
    byId("add-images").addEventListener("click", () => byId("image-files").click());
    byId("image-files").addEventListener("change", async (event) => {
      const files = [...event.target.files];
      event.target.value = "";
      await this.add(files);
    });
    byId("clear-images").addEventListener("click", () => this.clear());
    const hasFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
    const mark = (isOver) => document.body.classList.toggle("dropping", isOver);
    document.addEventListener("dragover", (event) => { if (hasFiles(event)) { event.preventDefault(); mark(true); } });
    document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) mark(false); });
    document.addEventListener("drop", (event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      mark(false);
      this.add([...event.dataTransfer.files]);
    });
  }

  async add(files) {
    const problems = [];
    let added = null;
    for (const [place, file] of files.entries()) {
      this.say(`Adding ${place + 1} of ${files.length}…`);
      try {
        if (file.size > MOST_BYTES) throw new Error(`${file.name} is not added: it has more than ${MOST_BYTES >> 20} MiB`);
        const bytes = new Uint8Array(await file.arrayBuffer());
        added = await this.connection.ask({ do: "drop", name: file.name }, { file: bytes });
      } catch (error) { problems.push(error.message); }
    }
    if (added) await this.onAdded(added.camera, added.index);
    const count = files.length - problems.length;
    const left = problems.length > 1 ? ` (and ${problems.length - 1} more)` : "";
    this.say(problems.length ? `${problems[0]}${left}` : `${count} added.`, problems.length > 0);
  }

  async clear() {
    try { await this.connection.ask({ do: "clear_dropped" }); } catch (error) { this.say(error.message, true); }
  }

  // Shows the button that removes them while there are any.
  receive(status) { byId("clear-images").hidden = !(status.lengths ?? {})["dropped images"]; }
}
