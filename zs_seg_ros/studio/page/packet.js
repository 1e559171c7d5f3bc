// Binary messages, as packet.py writes them: the length of a JSON header, the header, and named parts.

export function decode(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const parts = {};
  let begin = 4 + length;
  for (const [name, size] of header.parts) {
    parts[name] = new Uint8Array(buffer, begin, size);
    begin += size;
  }
  return { header, parts };
}

export function encode(header, parts) {
  const sizes = Object.entries(parts).map(([name, bytes]) => [name, bytes.byteLength]);
  const text = new TextEncoder().encode(JSON.stringify({ ...header, parts: sizes }));
  const length = new DataView(new ArrayBuffer(4));
  length.setUint32(0, text.byteLength, true);
  return new Blob([length.buffer, text, ...Object.values(parts)]);
}
