// Arrays as the engine writes them, and how far two of them are apart.

/** All arrays of a safetensors file, f32 alone: name -> { shape, data }. */
export async function read(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: ${response.status}`);
  const raw = await response.arrayBuffer();
  const start = 8 + Number(new DataView(raw).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(raw, 8, start - 8)));
  const arrays = new Map();
  for (const [name, { shape, data_offsets: [first, last] }] of Object.entries(header)) {
    if (name === "__metadata__") continue;
    // Copied: the data need not be aligned.
    arrays.set(name, { shape, data: new Float32Array(raw.slice(start + first, start + last)) });
  }
  return arrays;
}

/** The largest difference, relative to the largest value; infinite where the sizes differ. */
export function gap(found, { data }) {
  if (found.length !== data.length) return Infinity;
  let difference = 0;
  let largest = 1e-30;
  for (let at = 0; at < data.length; at++) {
    const apart = Math.abs(found[at] - data[at]);
    if (!(apart <= Number.MAX_VALUE)) return Infinity;
    difference = Math.max(difference, apart);
    largest = Math.max(largest, Math.abs(data[at]));
  }
  return difference / largest;
}
