// The entries of /diagnostics, each with its remedy and its numbers.

import { byId, make } from "./dom.js";

const LEVELS = ["OK", "Warning", "Error", "Stale"];

export function showHealth(status) {
  byId("entries").replaceChildren(...status.entries.map((entry) =>
    make("div", { class: `entry level${entry.level}` },
      make("strong", { text: `${entry.name} · ${LEVELS[entry.level] ?? entry.level}` }),
      make("div", { text: entry.message }),
      make("dl", {}, ...Object.entries(entry.values).filter(([, value]) => value !== "").map(([key, value]) =>
        make("div", {}, make("dt", { text: key }), make("dd", { text: value })))))));
  if (!status.entries.length) byId("entries").replaceChildren(make("p", { text: "No diagnostics yet." }));
}

// Returns how many frames of a camera were skipped, as the node counts them.
export function skippedOf(status, camera) {
  const entry = status.entries.find((each) => each.name.endsWith(`: ${camera}`));
  return Number(entry?.values["frames skipped"] ?? 0);
}
