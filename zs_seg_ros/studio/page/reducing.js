// Photos that have more pixels or bytes than the studio reads: made smaller here, by the browser's own decoders, so that
// the studio's limits stay what they are.

const QUALITIES = [0.95, 0.85, 0.7, 0.5];
const SMALLER = 0.8;

// Returns the bytes of an upright JPEG with at most so many pixels and bytes, and its size; null for what the browser cannot
// decode, and for an image that is within the limits already.
export async function reduced(file, mostPixels, mostBytes) {
  let bitmap;
  try { bitmap = await createImageBitmap(file); } catch { return null; }
  try {
    const pixels = bitmap.width * bitmap.height;
    if (pixels <= mostPixels && file.size <= mostBytes) return null;
    let scale = Math.min(1, Math.sqrt(mostPixels / pixels));
    for (const quality of QUALITIES) {
      const width = Math.max(1, Math.floor(bitmap.width * scale));
      const height = Math.max(1, Math.floor(bitmap.height * scale));
      const blob = await jpegOf(bitmap, width, height, quality);
      if (blob.size <= mostBytes) return { bytes: new Uint8Array(await blob.arrayBuffer()), width, height };
      scale *= SMALLER;
    }
    return null;
  } finally { bitmap.close(); }
}

function jpegOf(bitmap, width, height, quality) {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, width, height);
  return canvas.convertToBlob({ type: "image/jpeg", quality });
}
