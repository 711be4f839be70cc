// One side at work: `open` loads a case and compares its outputs with the engine's own outside the browser, `time` measures.
import { gap, read } from "./arrays.js";

let pass;

async function open({ side, name, options }) {
  const arrays = await read(`/case/${name}.safetensors`);
  const weights = options.weights ? await read("/case/weights.safetensors") : new Map();
  const { prepare } = await import(`./${side}.js`);
  pass = await prepare(name, arrays, weights, options);
  const found = Object.entries(await pass());
  return Object.fromEntries(found.map(([output, values]) => [output, gap(values, arrays.get(`out.${output}`))]));
}

/** Milliseconds of a pass, on average. */
async function time({ count }) {
  const began = performance.now();
  for (let at = 0; at < count; at++) await pass();
  return (performance.now() - began) / count;
}

self.onmessage = async ({ data }) => {
  try {
    self.postMessage({ answer: await { open, time }[data.ask](data) });
  } catch (error) {
    self.postMessage({ error: `${error?.stack ?? error}` });
  }
};
