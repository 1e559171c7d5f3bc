// Images and values of pixels from the bytes of files.

const EXIF = 0xffe1;
const SCAN = 0xffda;

// Returns the image of a JPEG as it is stored, to be drawn and closed. ImageDecoder takes the bytes from the page, where a
// Blob goes through another process; browsers have it for pages of this machine or over HTTPS. It turns images by their
// orientation, which results do not follow: an image that may have one takes the other way.
export async function decodedJpeg(bytes) {
  if ("ImageDecoder" in window && !hasExif(bytes)) {
    const decoder = new ImageDecoder({ data: bytes, type: "image/jpeg" });
    try { return (await decoder.decode()).image; } finally { decoder.close(); }
  }
  return createImageBitmap(new Blob([bytes], { type: "image/jpeg" }), { imageOrientation: "none" });
}

// Whether there is a segment for EXIF before the pixels.
function hasExif(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let place = 2; place + 4 <= view.byteLength;) {
    const marker = view.getUint16(place);
    if (marker === EXIF) return true;
    if (marker === SCAN || marker < 0xff00) return false;
    place += 2 + view.getUint16(place + 2);
  }
  return false;
}

// Returns the grey values of a PNG, as they are.
export async function valuesOf(png, width, height) {
  const bitmap = await createImageBitmap(new Blob([png], { type: "image/png" }), { colorSpaceConversion: "none" });
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const rgba = context.getImageData(0, 0, width, height).data;
  const grey = new Uint8Array(width * height);
  for (let pixel = 0; pixel < grey.length; pixel++) grey[pixel] = rgba[4 * pixel];
  return grey;
}
