// The EXIF orientation of WebP files, which createImageBitmap does not follow.

const ORIENTATION = 0x0112;
const RIFF_HEADER = 12;
const CHUNK_HEADER = 8;
const IFD_ENTRY = 12;

// Returns the orientation of the image in a file, 1 to 8, and makes it 1 in these bytes, so that no decoder follows it,
// too. It is 1 for a file that has none, and for one that is no WebP.
export function takeOrientation(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  try {
    const place = placeInExif(view, exifOf(view));
    if (!place) return 1;
    const value = view.getUint16(place.offset, place.isLittle);
    view.setUint16(place.offset, 1, place.isLittle);
    return value >= 1 && value <= 8 ? value : 1;
  } catch (error) {
    if (error instanceof RangeError) return 1; // it ends before its own offsets
    throw error;
  }
}

const textAt = (view, place, length) =>
  String.fromCharCode(...Array.from({ length }, (_, index) => view.getUint8(place + index)));

// Returns where the EXIF data of a WebP begins; null where it has none.
function exifOf(view) {
  if (textAt(view, 0, 4) !== "RIFF" || textAt(view, 8, 4) !== "WEBP") return null;
  for (let place = RIFF_HEADER; place + CHUNK_HEADER <= view.byteLength;) {
    const size = view.getUint32(place + 4, true);
    if (textAt(view, place, 4) === "EXIF") {
      const begin = place + CHUNK_HEADER;
      return textAt(view, begin, 4) === "Exif" ? begin + 6 : begin; // some writers keep JPEG's prefix
    }
    place += CHUNK_HEADER + size + (size % 2);
  }
  return null;
}

// Returns the place of the orientation in the first directory of EXIF data, and whether its numbers are little endian.
function placeInExif(view, begin) {
  if (begin === null) return null;
  const isLittle = textAt(view, begin, 2) === "II";
  const directory = begin + view.getUint32(begin + 4, isLittle);
  const count = view.getUint16(directory, isLittle);
  for (let entry = directory + 2; entry < directory + 2 + count * IFD_ENTRY; entry += IFD_ENTRY) {
    if (view.getUint16(entry, isLittle) === ORIENTATION) return { offset: entry + 8, isLittle };
  }
  return null;
}

export const isTurned = (orientation) => orientation > 4;

// Has a canvas draw an image of this orientation upright. width, height: of the image as it is stored.
export function turn(context, orientation, width, height) {
  const [w, h] = [width, height];
  const transforms = {
    2: [-1, 0, 0, 1, w, 0], 3: [-1, 0, 0, -1, w, h], 4: [1, 0, 0, -1, 0, h], 5: [0, 1, 1, 0, 0, 0],
    6: [0, 1, -1, 0, h, 0], 7: [0, -1, -1, 0, h, w], 8: [0, -1, 1, 0, 0, w],
  };
  if (transforms[orientation]) context.setTransform(...transforms[orientation]);
}
