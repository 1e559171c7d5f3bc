// The vocabulary: a draft that is edited, and the one in force that it came from.

import { ask, byId, make, show } from "./dom.js";
import { ClassRow, keyOf } from "./class_row.js";
import { listenToFiles } from "./files.js";

const PROBED_THRESHOLD = 0.01;
const TIME = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });

export class Editor {
  // onPreview: thresholds that are not in force are shown, or no longer. onShown: classes were hidden or shown.
  constructor(connection, { onPreview, onShown }) {
    this.connection = connection;
    this.onPreview = onPreview;
    this.onShown = onShown;
    this.inForce = null;
    this.base = null;
    this.rows = [];
    this.hidden = new Set();
    this.previewed = new Map();
    this.defaultThreshold = 0.5;
    this.isDirty = false;
    this.edits = 0;
    this.lastChange = Promise.resolve();
    byId("add").addEventListener("submit", (event) => { event.preventDefault(); this.add(); });
    byId("apply").addEventListener("click", () => this.apply());
    byId("revert").addEventListener("click", () => this.take(this.inForce));
    byId("undo").addEventListener("click", () => this.undo());
    byId("redo").addEventListener("click", () => this.redo());
    byId("history").parentElement.addEventListener("toggle", () => this.showHistory());
    listenToFiles(this);
    this.showState();
  }

  isShown(name) { return !this.hidden.has(name); }

  // Whether a threshold is below the one in force, so that published results lack pixels that it would show.
  get isLowered() {
    const inForce = new Map(this.inForce?.classes.map((each) => [each.name, each.threshold || this.defaultThreshold]));
    return this.rows.some((row) => row.effectiveThreshold < (inForce.get(row.givenName) ?? 1) - 1e-6);
  }

  // The classes with hardly any threshold: their confidences serve every threshold.
  get probed() { return this.classes.map((entry, place) => ({ ...entry, name: this.rows[place].givenName, threshold: PROBED_THRESHOLD })); }

  colourOf(name) { return this.rows.find((row) => row.givenName === name)?.given.colour; }

  setDefaultThreshold(value) {
    if (value === this.defaultThreshold) return;
    this.defaultThreshold = value;
    for (const row of this.rows) row.showThreshold();
  }

  // --- what is in force ---

  receive(vocabulary) {
    const mine = vocabulary.edition === this.base;
    this.inForce = vocabulary;
    if (!this.isDirty || this.base === null) this.take(vocabulary);
    else if (!mine && !this.isChanging) {
      show(byId("banner"), `${whose(vocabulary)} version ${vocabulary.version}: ${namesOf(vocabulary)}. `
        + "Your edits are kept. Revert takes the new vocabulary; Apply asks what to do.");
    }
    this.showHistory();
    this.showState();
  }

  // Makes a vocabulary the draft.
  take(vocabulary) {
    if (!vocabulary) return;
    this.base = vocabulary.edition;
    this.isDirty = false;
    show(byId("banner"), "");
    this.setRows(vocabulary.classes);
    this.showWarnings(vocabulary.warnings);
    this.clearPreview();
    this.showState();
  }

  // Bases the draft on the vocabulary in force, which it was part of.
  rebase() {
    this.base = this.inForce.edition;
    show(byId("banner"), "");
  }

  // Shows these classes. A row that shows the same words already stays, with its focus and its place on the screen: the
  // rows of a long vocabulary take far longer to build than the one that has changed.
  setRows(classes) {
    const list = byId("classes");
    const focus = this.rows.findIndex((row) => row.element.contains(document.activeElement));
    const field = focus < 0 ? null : document.activeElement.dataset.field;
    const name = focus < 0 ? null : this.rows[focus].name;
    const open = new Set(this.rows.filter((row) => row.isOpen).map((row) => row.name));
    const before = new Map(this.rows.map((row) => [row.key, row]));
    const kept = new Set();
    this.rows = classes.map((entry) => {
      const row = before.get(keyOf(entry));
      // Its labels and buttons have the name that it was built with.
      if (row?.element.dataset.name !== entry.name || kept.has(row.element)) return new ClassRow(entry, this);
      row.renew(entry);
      kept.add(row.element);
      return row;
    });
    for (const element of [...list.children]) if (!kept.has(element)) element.remove();
    for (const [place, row] of this.rows.entries()) {
      if (list.children[place] !== row.element) list.insertBefore(row.element, list.children[place] ?? null);
      if (!kept.has(row.element) && open.has(row.name)) row.open();
    }
    const focused = this.rows.find((row) => row.name === name);
    if (focused && !focused.element.contains(document.activeElement)) focused.focus(field);
  }

  showWarnings(warnings) {
    const byName = Map.groupBy(warnings.flatMap(({ text, classes }) => classes.map((name) => ({ name, text }))), ({ name }) => name);
    for (const row of this.rows) row.showWarnings(byName.get(row.name) ?? []);
    const general = warnings.filter((each) => !each.classes.length);
    byId("general").textContent = general.map((each) => each.text).join(" ");
  }

  // --- edits ---

  touched() {
    this.isDirty = true;
    this.edits++;
    this.say("");
    this.showState();
  }

  add() {
    const input = byId("new-name");
    const name = input.value.trim();
    if (!name) return;
    input.value = "";
    const row = this.addClass({ name });
    this.apply();
    // After the request is on its way: it takes the layout of the page.
    queueMicrotask(() => row.element.scrollIntoView({ block: "nearest" }));
  }

  addClass(entry) {
    const row = new ClassRow({
      id: 0, label: 0, colour: "#888888", prompts: [], negatives: [], threshold: 0, exemplars: [], ...entry,
    }, this);
    this.rows.push(row);
    byId("classes").append(row.element);
    this.touched();
    return row;
  }

  remove(row) {
    this.rows = this.rows.filter((each) => each !== row);
    row.element.remove();
    this.touched();
  }

  get classes() { return this.rows.map((row) => row.entry()); }

  // Puts the draft in force, after changes that have no answer yet: it is then based on them.
  apply() {
    this.say("Applying…");
    return this.inTurn(() => this.sendDraft(this.base));
  }

  inTurn(change) {
    this.lastChange = this.lastChange.then(change, change);
    return this.lastChange;
  }

  sendDraft(base) {
    return this.change({ do: "set_vocabulary", base, classes: this.classes }, () => this.sendDraft(this.inForce.edition));
  }

  sendEdition(edition) {
    return this.change({ do: "restore", base: this.inForce.edition, edition }, () => this.sendEdition(edition));
  }

  // Sends a change, and asks when another client has set a vocabulary meanwhile. again: sends it all the same. Resolves
  // to whether it is in force. What is edited before the answer stays, and is not in force yet.
  async change(request, again) {
    this.say("Applying…");
    this.isChanging = true;
    const { edits } = this;
    try {
      const answer = await this.connection.ask(request);
      if (answer.conflict) return await this.resolveConflict(answer.vocabulary, again, request.do === "set_vocabulary");
      const isEdited = this.edits !== edits;
      if (isEdited) this.rebase(); else this.take(this.inForce);
      const later = isEdited ? " Later edits are not applied yet." : "";
      this.say(answer.replaced_another
        ? `Applied. Another client had set a vocabulary just before, which this replaced: it is in the history.${later}`
        : `Applied.${later}`);
      return true;
    } catch (error) {
      this.say(error.message, true);
      return false;
    } finally { this.isChanging = false; }
  }

  // isDraft: what was sent is the draft, to which the other classes can be added.
  async resolveConflict(vocabulary, again, isDraft) {
    this.say("");
    this.inForce = vocabulary;
    const missing = vocabulary.classes.filter((entry) => !this.rows.some((row) => row.name === entry.name));
    const choice = await ask(
      `${whose(vocabulary)} version ${vocabulary.version} meanwhile: ${namesOf(vocabulary)}. What should be in force?`,
      [["Mine, in place of it", "mine"], ...(isDraft ? [["Both: mine and its other classes", "both"]] : []),
        ["Its, without my edits", "its"], ["Edit on", null]]);
    if (choice === "its") this.take(vocabulary);
    if (choice === "both") for (const entry of missing) this.addClass(entry);
    return choice === "mine" || choice === "both" ? again() : false;
  }

  // --- history ---

  // The history begins with the newest edition. Undoing puts the edition before the last one that was not undone in force.
  undo() { return this.inTurn(() => this.restore(this.undone() + 1)); }

  redo() { return this.inTurn(() => (this.undone() ? this.restore(this.undone() - 1) : false)); }

  undone() { return this.undoing?.edition === this.inForce?.edition ? this.undoing?.steps ?? 0 : 0; }

  async restore(steps) {
    const trail = this.undone() ? this.undoing.trail : this.inForce?.history.map((each) => each.edition) ?? [];
    if (!trail[steps] || !await this.sendEdition(trail[steps])) return;
    this.undoing = { edition: this.inForce.edition, steps, trail };
    this.showState();
  }

  // The list is built while it is open: every change of the vocabulary would build 50 entries anew.
  showHistory() {
    if (!this.inForce || !byId("history").parentElement.open) return;
    byId("history").replaceChildren(...this.inForce.history.map((each, place) => make("li", { value: each.edition },
      `version ${each.version}, ${TIME.format(each.stamp_ms)}${originOf(each)}: `,
      make("span", { text: `${each.names.join(", ")}${each.classes > each.names.length ? ", …" : ""}` || "no classes" }),
      " ",
      place === 0 ? make("em", { text: "in force" }) : make("button", {
        type: "button", text: "Restore",
        onclick: () => this.inTurn(() => this.sendEdition(each.edition)),
      }))));
  }

  // --- thresholds that are not in force yet ---

  preview() {
    this.touched();
    for (const each of this.rows) this.previewed.set(each.givenName, each.effectiveThreshold);
    this.onPreview();
  }

  clearPreview() {
    if (!this.previewed.size) return;
    this.previewed.clear();
    this.onPreview();
  }

  setShown(name, isShown) {
    if (isShown) this.hidden.delete(name); else this.hidden.add(name);
    this.onShown();
  }

  // --- state ---

  say(text, isBad = false) {
    byId("message").textContent = text;
    byId("message").className = isBad ? "bad" : "";
  }

  showState() {
    byId("version").textContent = this.inForce ? `version ${this.inForce.version}` : "none received";
    byId("dirty").hidden = !this.isDirty;
    byId("apply").disabled = !this.isDirty;
    byId("revert").disabled = !this.isDirty;
    byId("undo").disabled = !((this.undone() ? this.undoing.trail : this.inForce?.history ?? []).length > this.undone() + 1);
    byId("redo").disabled = !this.undone();
  }
}

const namesOf = (vocabulary) => vocabulary.classes.map((entry) => entry.name).slice(0, 12).join(", ") || "no classes";

const whose = ({ restarted }) => (restarted ? "The node has started anew with" : "Another client has set");

function originOf({ by_studio: isOwn, restarted }) {
  if (isOwn) return "";
  return restarted ? ", after a restart of the node" : ", by another client";
}
