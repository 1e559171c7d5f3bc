// The page: the view of the cameras, and the vocabulary beside it.

import { Comparison } from "./compare.js";
import { Connection } from "./connection.js";
import { ask, byId, make, show } from "./dom.js";
import { Dropping } from "./dropping.js";
import { Editor } from "./editor.js";
import { showHealth, skippedOf } from "./health.js";
import { Jobs } from "./jobs.js";
import { Pointing } from "./pointing.js";
import { Tile } from "./tile.js";

const OPTIONS = ["opacity", "outlines", "names", "positions", "heat"];
const tiles = new Map();
const chosen = new Set();
let status = null;
let active = null;
let editor = null;

const options = () => Object.fromEntries(OPTIONS.map((name) => {
  const input = byId(name);
  return [name, input.type === "checkbox" ? input.checked : Number(input.value)];
}));
const shared = {
  options: options(),
  isShown: (name) => editor.isShown(name),
  thresholds: () => editor.previewed,
};

function redraw() {
  shared.options = options();
  for (const tile of tiles.values()) tile.draw();
}

// Looks at the chosen cameras while the page is visible, with confidence where something shows it.
function look() {
  const cameras = document.hidden ? [] : [...chosen];
  const confidence = byId("heat").checked || editor.previewed.size > 0;
  connection.ask({ do: "look", cameras, confidence }).catch(() => {});
}

const connection = new Connection({
  state(state) {
    const badge = byId("connection");
    badge.textContent = state === "open" ? "connected" : "no connection, trying again";
    badge.className = `badge ${state === "open" ? "good" : "bad"}`;
    if (state === "open") look();
  },
  status(message) {
    status = message;
    byId("title").textContent = message.title;
    byId("state").textContent = message.state;
    byId("state").hidden = !message.state;
    byId("state").className = `badge ${message.state === "active" ? "good" : ""}`;
    show(byId("problem"), message.problem);
    showHealth(message);
    showCameras(message.cameras);
    dropping.receive(message);
    comparison.receive(message);
    for (const camera of tiles.keys()) follow(camera);
    editor.setDefaultThreshold(message.default_threshold);
  },
  job(message) { jobs.receive(message); },
  vocabulary(message) { editor.receive(message); comparison.fill(); },
  async frame(header, parts) {
    const tile = tiles.get(header.camera);
    await tile?.receive(header, parts);
    if (tile?.length && editor.previewed.size) preview();
  },
});

editor = new Editor(connection, { onPreview: preview, onShown: redraw });
const pointing = new Pointing(connection, editor);
// The tile that the tools act on: the one that was last used.
const shownTile = () => (active?.shown && tiles.has(active.camera) ? active : [...tiles.values()].find((tile) => tile.shown));
const comparison = new Comparison(connection, editor, { shownTile, options: () => shared.options });
const dropping = new Dropping(connection, { onAdded: showAdded, say: (text, isBad) => editor.say(text, isBad) });
const jobs = new Jobs(connection, editor, { shownTile });

// Shows thresholds that are not in force. Higher ones act on the published confidences; lower ones, and paused images
// without confidences, take one run of the model for the image.
function preview() {
  look();
  for (const tile of tiles.values()) {
    if (!editor.previewed.size) tile.endProbe();
    else if (editor.isLowered || (tile.paused && !tile.shown?.confidence)) {
      tile.probe(segmentProbed, (name) => editor.colourOf(name)).catch((error) => editor.say(error.message, true));
    }
  }
  redraw();
}

function segmentProbed(frame) {
  const { width, height } = frame;
  return connection.ask({ do: "segment", width, height, classes: editor.probed }, { image: frame.parts.image });
}

function chooseImage(camera, index) {
  connection.ask({ do: "choose", camera, index }).catch((error) => editor.say(error.message, true));
}

// Shows an image that was added, in the tile of its camera.
function showAdded(camera, index) {
  if (!chosen.has(camera)) {
    choose(camera, true);
    byId("cameras").querySelector(`input[value="${CSS.escape(camera)}"]`).checked = true;
  }
  use(tiles.get(camera));
  active.go(index);
}

function use(tile) {
  active = tile;
  for (const each of tiles.values()) each.element.classList.toggle("active", each === tile);
}

// Gives a tile what the status says about its camera.
function follow(camera) {
  const tile = tiles.get(camera);
  tile.skipped = skippedOf(status, camera);
  if (status.lengths) tile.setLength(status.lengths[camera], (index) => chooseImage(camera, index));
}

function showCameras(cameras) {
  const boxes = byId("cameras");
  if (boxes.dataset.names === JSON.stringify(cameras)) return;
  boxes.dataset.names = JSON.stringify(cameras);
  const legend = boxes.querySelector("legend");
  for (const name of [...chosen]) if (!cameras.includes(name)) choose(name, false);
  if (!chosen.size && cameras.length) choose(cameras[0], true);
  boxes.replaceChildren(legend, ...cameras.map((name) => make("label", {},
    make("input", { type: "checkbox", value: name, checked: chosen.has(name), onchange: (event) => choose(name, event.target.checked) }),
    name)));
}

function choose(camera, isChosen) {
  if (isChosen) {
    chosen.add(camera);
    const tile = new Tile(camera, shared, {
      onReady: () => connection.tell({ do: "ready", camera }),
      onPoint: (marked, region) => pointing.mark(marked, region),
      onObject: (marked, object) => pointing.choose(marked, object),
    });
    tiles.set(camera, tile);
    if (status) follow(camera);
    for (const kind of ["pointerdown", "focusin"]) tile.element.addEventListener(kind, () => use(tile));
    byId("tiles").append(tile.element);
  } else {
    chosen.delete(camera);
    tiles.get(camera)?.close();
    tiles.delete(camera);
  }
  look();
}

for (const name of OPTIONS) byId(name).addEventListener("input", () => { redraw(); if (name === "heat") look(); });
document.addEventListener("visibilitychange", look);
window.addEventListener("resize", redraw);
byId("theme").addEventListener("click", () => {
  const dark = getComputedStyle(document.documentElement).colorScheme === "dark"
    || (document.documentElement.dataset.theme ?? "") === "" && matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "light" : "dark";
});
const KEYS = "On an image: space pauses, ← and → step through the last 30 seconds. In the list below it, Enter marks an object. Elsewhere: / goes to the name of a new "
  + "class, Enter in a field of a class applies the vocabulary, Alt+Z undoes it, ? shows this.";
const showKeys = () => ask(KEYS, [["Close", null]]);
byId("keys").addEventListener("click", showKeys);
document.addEventListener("keydown", (event) => {
  const typing = event.target.matches("input, textarea, select");
  if (event.altKey && event.key === "z") { event.preventDefault(); editor.undo(); }
  if (typing) return;
  if (event.key === "/") { event.preventDefault(); byId("new-name").focus(); }
  if (event.key === "?") showKeys();
});
