// The engine, as the page's worker has it: `app/worker/tests/bench.rs`.
import init, { Bundle, Encoder } from "/engine/bench.js";

async function bytes(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

function encoder(arrays, weights, heads) {
  const [intermediate, width] = weights.get("layer.0.intermediate.weight").shape;
  const layers = new Set([...weights.keys()].map((name) => name.split(".")[1])).size;
  let network = new Encoder(layers, width, heads, intermediate, arrays.get("in.tokens").data);
  for (const [name, { shape, data }] of weights) {
    network = network.place(name, Uint32Array.from(shape), data);
    weights.delete(name);
  }
  return async () => ({ tokens: await network.run() });
}

async function draft(arrays) {
  const files = ["bundle.json", "tokenizer.json", "weights-000.safetensors"];
  const bundle = new Bundle(...(await Promise.all(files.map((file) => bytes(`/bundle/${file}`)))));
  const pixels = arrays.get("in.pixels").data;
  return async () => {
    const drafted = await bundle.draft(pixels);
    const words = drafted.length / 2;
    return { words: drafted.subarray(0, words), probabilities: drafted.subarray(words) };
  };
}

/** A pass of a case: outputs by name. */
export async function prepare(name, arrays, weights, { module, heads }) {
  await init({ module_or_path: `/engine/${module}` });
  return name === "draft" ? draft(arrays) : encoder(arrays, weights, heads);
}
