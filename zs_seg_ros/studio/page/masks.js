// Masks from run lengths: which object each pixel belongs to, and colours for them.

const HEAT = [[20, 12, 60], [84, 20, 120], [180, 50, 100], [240, 120, 40], [250, 220, 110]];

// Returns the objects of a frame with their run lengths.
export function objectsOf(header, runs) {
  const lengths = new Uint32Array(runs.slice().buffer);
  let begin = 0;
  return header.objects.map((entry) => {
    const object = { ...entry, lengths: lengths.subarray(begin, begin + entry.runs) };
    begin += entry.runs;
    return object;
  });
}

// Calls visit(first, last) for each piece of a row that belongs to a mask, as indices of pixels of the whole image.
function eachRun(object, width, visit) {
  const [left, top, boxWidth] = object.given?.box ?? object.box;
  let place = 0;
  let inside = false;
  for (const length of object.lengths) {
    if (inside) {
      let begin = place;
      const end = place + length;
      while (begin < end) {
        const row = Math.floor(begin / boxWidth);
        const last = Math.min(end, (row + 1) * boxWidth);
        const first = (top + row) * width + left + begin - row * boxWidth;
        visit(first, first + last - begin);
        begin = last;
      }
    }
    place += length;
    inside = !inside;
  }
}

// Returns for each pixel the number of its object, from 1; 0 for none. Objects come with the best score first.
// isShown: of the name of a class. thresholds: by name, for pixels whose confidence is known. areas: pixels of each
// object. Score and box of an object that a threshold makes smaller are those of what is left of it. into: the array of an
// earlier image, which is used again where it has the size.
export function owners(frame, isShown, thresholds, into) {
  const { width, height, objects, confidence } = frame;
  const owner = into?.length === width * height ? into.fill(0) : new Uint16Array(width * height);
  const areas = new Uint32Array(objects.length);
  for (let index = objects.length - 1; index >= 0; index--) {
    const object = objects[index];
    if (!isShown(object.name)) continue;
    const isPreviewed = confidence && thresholds.has(object.name);
    object.given ??= { box: object.box, score: object.score };
    [object.box, object.score] = [object.given.box, object.given.score];
    if (isPreviewed) areas[index] = confidentPixels(frame, index, thresholds.get(object.name), owner);
    else {
      eachRun(object, width, (first, last) => {
        owner.fill(index + 1, first, last);
        areas[index] += last - first;
      });
    }
  }
  return { owner, areas };
}

function confidentPixels({ width, objects, confidence }, index, threshold, owner) {
  const object = objects[index];
  const least = Math.max(1, Math.ceil(threshold * 255 - 0.5));
  let [area, sum, left, right, top, bottom] = [0, 0, width, -1, Infinity, -1];
  eachRun(object, width, (first, last) => {
    const y = Math.floor(first / width);
    for (let pixel = first; pixel < last; pixel++) {
      if (confidence[pixel] < least) continue;
      owner[pixel] = index + 1;
      area++;
      sum += confidence[pixel];
      const x = pixel - y * width;
      if (x < left) left = x;
      if (x > right) right = x;
      if (y < top) top = y;
      if (y > bottom) bottom = y;
    }
  });
  if (area) {
    object.box = [left, top, right - left + 1, bottom - top + 1];
    object.score = sum / area / 255;
  }
  return area;
}

// Returns the run lengths of an object's mask as they were received, and the box that they are in.
export const maskOf = (object) => ({ box: object.given?.box ?? object.box, runs: object.lengths });

function packed(colour, alpha) {
  const value = Number.parseInt(colour.slice(1), 16);
  return ((alpha << 24) | ((value & 255) << 16) | (value & 0xff00) | (value >> 16)) >>> 0;
}

// Returns the layer that is drawn over the image: ImageData. options: opacity 0 to 1, outlines, heat. into: that of an
// earlier image, which is used again where it has the size.
export function layerOf(frame, owner, options, into) {
  const { width, height, objects } = frame;
  const layer = into?.width === width && into.height === height ? into : new ImageData(width, height);
  const pixels = new Uint32Array(layer.data.buffer).fill(0);
  if (options.heat && frame.confidence) { paintHeat(pixels, frame.confidence, options.opacity); return layer; }
  const inner = [0, ...objects.map((object) => packed(object.colour, Math.round(255 * options.opacity)))];
  const edge = [0, ...objects.map((object) => packed(object.colour, 255))];
  for (const [index, { box }] of objects.entries()) {
    const [left, top, boxWidth, boxHeight] = box;
    for (let y = top; y < top + boxHeight; y++) {
      for (let x = left, pixel = y * width + left; x < left + boxWidth; x++, pixel++) {
        const own = owner[pixel];
        if (own !== index + 1) continue;
        const isEdge = options.outlines && (x === 0 || x === width - 1 || y === 0 || y === height - 1
          || owner[pixel - 1] !== own || owner[pixel + 1] !== own
          || owner[pixel - width] !== own || owner[pixel + width] !== own);
        pixels[pixel] = isEdge ? edge[own] : inner[own];
      }
    }
  }
  return layer;
}

function paintHeat(pixels, confidence, opacity) {
  const alpha = Math.round(255 * Math.max(0.2, opacity));
  const table = new Uint32Array(256);
  for (let value = 1; value < 256; value++) {
    const place = (value / 255) * (HEAT.length - 1);
    const low = Math.min(HEAT.length - 2, Math.floor(place));
    const mixed = HEAT[low].map((part, i) => Math.round(part + (HEAT[low + 1][i] - part) * (place - low)));
    table[value] = ((alpha << 24) | (mixed[2] << 16) | (mixed[1] << 8) | mixed[0]) >>> 0;
  }
  for (let pixel = 0; pixel < pixels.length; pixel++) pixels[pixel] = table[confidence[pixel]];
}

// Returns box and run lengths of the pixels in a box that belong to the object with this number.
export function drawnMask(owner, width, number, box) {
  const [left, top, boxWidth, boxHeight] = box;
  const runs = [];
  let inside = false;
  let length = 0;
  for (let y = top; y < top + boxHeight; y++) {
    for (let x = left; x < left + boxWidth; x++) {
      if ((owner[y * width + x] === number) === inside) { length++; continue; }
      runs.push(length);
      length = 1;
      inside = !inside;
    }
  }
  return { box, runs: new Uint32Array([...runs, length]) };
}
