// Photos that have more pixels or bytes than the studio reads: made smaller here, by the browser's own decoders, so that
// the studio's limits stay what they are.

import { isTurned, takeOrientation, turn } from "./orientation.js";

const QUALITIES = [0.95, 0.85, 0.7, 0.5];
const SMALLER = 0.8;

// Returns the bytes of an upright JPEG with at most so many pixels and bytes, and its size; null for what the browser cannot
// decode, and for an image that is within the limits already.
export async function reduced(file, mostPixels, mostBytes) {
  let image;
  try { image = await decoded(file); } catch { return null; }
  const { bitmap } = image;
  try {
    const pixels = bitmap.width * bitmap.height;
    if (pixels <= mostPixels && file.size <= mostBytes) return null;
    let scale = Math.min(1, Math.sqrt(mostPixels / pixels));
    for (const quality of QUALITIES) {
      const canvas = upright(image, scale);
      const blob = await canvas.convertToBlob({ type: "image/jpeg", quality });
      if (blob.size <= mostBytes) return { bytes: new Uint8Array(await blob.arrayBuffer()), width: canvas.width, height: canvas.height };
      scale *= SMALLER;
    }
    return null;
  } finally { bitmap.close(); }
}

// Returns the image of a file and the orientation that the browser has not followed.
async function decoded(file) {
  if (await file.slice(8, 12).text() !== "WEBP") return { bitmap: await createImageBitmap(file), orientation: 1 };
  const bytes = new Uint8Array(await file.arrayBuffer());
  const orientation = takeOrientation(bytes);
  return { bitmap: await createImageBitmap(new Blob([bytes], { type: "image/webp" })), orientation };
}

function upright({ bitmap, orientation }, scale) {
  const [width, height] = [bitmap.width, bitmap.height].map((side) => Math.max(1, Math.floor(side * scale)));
  const canvas = isTurned(orientation) ? new OffscreenCanvas(height, width) : new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  turn(context, orientation, width, height);
  context.drawImage(bitmap, 0, 0, width, height);
  return canvas;
}
