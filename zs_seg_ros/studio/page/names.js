// Names beside objects, none over another.

const MARGIN = 3;
const LONGEST_SHARE = 0.6; // of the width of the image

// Draws the names of objects that have pixels. scale: pixels of the canvas for one pixel of the page.
export function drawNames(context, frame, areas, scale, withDistance) {
  const size = 13 * scale;
  context.font = `600 ${size}px system-ui, "DejaVu Sans", sans-serif`;
  context.textBaseline = "top";
  const taken = [];
  for (const [index, object] of frame.objects.entries()) {
    if (!areas[index]) continue;
    const text = plateText(context, object, withDistance, frame.width);
    const width = context.measureText(text).width + 2 * MARGIN * scale;
    const height = size * 1.25 + MARGIN * scale;
    const place = freePlace(object.box, width, height, frame, taken);
    if (!place) continue;
    taken.push(place);
    context.fillStyle = object.colour;
    context.fillRect(place.x, place.y, width, height);
    context.fillStyle = isBright(object.colour) ? "#000" : "#fff";
    context.fillText(text, place.x + MARGIN * scale, place.y + MARGIN * scale);
  }
}

// Returns the name of an object with its numbers, on at most a part of the image's width: of a longer name the end is left
// out. The name is isolated, so that one that is written from right to left does not pull the numbers into it.
function plateText(context, object, withDistance, imageWidth) {
  const numbers = numbersOf(object, withDistance);
  const isolated = (name) => `\u2068${name}\u2069${numbers}`;
  const fits = (name) => context.measureText(isolated(name)).width <= LONGEST_SHARE * imageWidth;
  if (fits(object.name)) return isolated(object.name);
  const letters = [...object.name];
  let [low, high] = [0, letters.length];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (fits(`${letters.slice(0, middle).join("")}…`)) low = middle; else high = middle;
  }
  return isolated(`${letters.slice(0, low).join("")}…`);
}

export const nameOf = (object, withDistance) => `${object.name}${numbersOf(object, withDistance)}`;

function numbersOf(object, withDistance) {
  const track = object.track ? ` #${object.track}` : "";
  const distance = withDistance && object.position ? ` ${Math.hypot(...object.position).toFixed(2)} m` : "";
  return ` ${object.score.toFixed(2)}${track}${distance}`;
}

function freePlace([left, top, boxWidth, boxHeight], width, height, frame, taken) {
  const x = clamp(left + (boxWidth - width) / 2, 0, frame.width - width);
  const rows = [top - height, top + boxHeight, top, top - 2 * height, top + boxHeight + height];
  for (const shift of [0, -width / 2, width / 2]) {
    for (const row of rows) {
      const place = {
        x: clamp(x + shift, 0, frame.width - width), y: clamp(row, 0, frame.height - height), width, height,
      };
      if (!taken.some((other) => overlap(place, other))) return place;
    }
  }
  return null;
}

const overlap = (a, b) => a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
const clamp = (value, low, high) => Math.max(low, Math.min(Math.max(low, high), value));

function isBright(colour) {
  const value = Number.parseInt(colour.slice(1), 16);
  return 0.299 * (value >> 16) + 0.587 * ((value >> 8) & 255) + 0.114 * (value & 255) > 110;
}
