// Image files that are dropped onto the page, or chosen: they become one more camera.

import { byId } from "./dom.js";
import { reduced } from "./reducing.js";

const MOST_BYTES = 15 << 20; // the server reads messages of 16 MiB
const MOST_PIXELS = 4096 * 3072; // and images of so many
const MOST_READ_BYTES = 256 << 20; // of a file that is made smaller here

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
    const sizes = [];
    let added = null;
    for (const [place, file] of files.entries()) {
      this.say(`Adding ${place + 1} of ${files.length}…`);
      try { added = await this.addOne(file, sizes); } catch (error) { problems.push(error.message); }
    }
    if (added) this.onAdded(added.camera, added.index);
    const count = files.length - problems.length;
    const left = problems.length > 1 ? ` (and ${problems.length - 1} more)` : "";
    const smaller = sizes.length ? `, ${sizes.length} of them reduced to ${sizes.at(-1)} pixels` : "";
    this.say(problems.length ? `${problems[0]}${left}` : `${count} added${smaller}.`, problems.length > 0);
  }

  // Adds a file. One that is refused, and has more pixels or bytes than are read, is made smaller; its size goes to sizes.
  async addOne(file, sizes) {
    let refusal = new Error(`${file.name} is not added: it has more than ${MOST_BYTES >> 20} MiB`);
    if (file.size <= MOST_BYTES) {
      try { return await this.send(file.name, new Uint8Array(await file.arrayBuffer())); } catch (error) { refusal = error; }
    }
    const small = file.size <= MOST_READ_BYTES ? await reduced(file, MOST_PIXELS, MOST_BYTES) : null;
    if (!small) throw refusal;
    const added = await this.send(file.name, small.bytes);
    sizes.push(`${small.width}×${small.height}`);
    return added;
  }

  send(name, bytes) { return this.connection.ask({ do: "drop", name }, { file: bytes }); }

  async clear() {
    try { await this.connection.ask({ do: "clear_dropped" }); } catch (error) { this.say(error.message, true); }
  }

  // Shows the button that removes them while there are any.
  receive(status) { byId("clear-images").hidden = !(status.lengths ?? {})["dropped images"]; }
}
