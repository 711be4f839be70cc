// onnxruntime-web on the CPU, over the networks that PyTorch exported.
import * as ort from "/runtime/ort.wasm.min.mjs";

const open = (file) =>
  ort.InferenceSession.create(`/case/${file}.onnx`, { executionProviders: ["wasm"], graphOptimizationLevel: "all" });

async function encoder(name, arrays) {
  const { shape, data } = arrays.get("in.tokens");
  const session = await open(name);
  const x = new ort.Tensor("float32", data, shape);
  const mask = new ort.Tensor("float32", new Float32Array(shape[1]), [1, 1, 1, shape[1]]);
  return async () => ({ tokens: (await session.run({ x, mask })).tokens.data });
}

/** The natural logarithm of the sum of exponentials. */
function logSum(scores) {
  const largest = scores.reduce((a, b) => Math.max(a, b));
  return largest + Math.log(scores.reduce((sum, score) => sum + Math.exp(score - largest), 0));
}

/** The greedy loop of the engine, words in JavaScript, networks in ONNX Runtime. */
async function draft(arrays, { specials, most }) {
  const [start, step] = [await open("start"), await open("step")];
  const { shape, data } = arrays.get("in.pixels");
  const pixels = new ort.Tensor("float32", data, shape);
  const never = ["pad", "cls", "mask", "unk"].map((name) => specials[name]);
  const names = step.inputNames.filter((name) => name !== "word" && name !== "place");
  const number = (value) => new ort.Tensor("int64", BigInt64Array.of(BigInt(value)), [1, 1]);
  return async () => {
    let found = await start.run({ pixels });
    const [words, probabilities] = [[], []];
    while (words.length < most) {
      const scores = found.logits.data;
      const total = logSum(scores);
      for (const id of never) scores[id] = -Infinity;
      const word = scores.reduce((best, score, id) => (score > scores[best] ? id : best), 0);
      if (word === specials.sep) break;
      probabilities.push(Math.exp(scores[word] - total));
      words.push(word);
      const past = Object.fromEntries(names.map((name) => [name, found[`next_${name}`]]));
      found = await step.run({ word: number(word), place: number(words.length - 1), ...past });
    }
    return { words, probabilities };
  };
}

/** A pass of a case: outputs by name. */
export async function prepare(name, arrays, weights, options) {
  ort.env.wasm.numThreads = options.threads;
  ort.env.wasm.wasmPaths = "/runtime/";
  if (options.threads > 1 && !self.crossOriginIsolated) throw new Error("threads need a page that is cross-origin isolated");
  return name === "draft" ? draft(arrays, options) : encoder(name, arrays);
}
