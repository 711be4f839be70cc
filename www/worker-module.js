// Which of the worker's two modules this browser takes. The relaxed one is the same program with products and sums fused, and
// quicker on the CPU; Safari refuses it. A function with `f32x4.relaxed_madd` tells.
const RELAXED = new Uint8Array([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 19, 1, 17, 0, 65, 0, 253, 15, 65, 0, 253, 15,
  65, 0, 253, 15, 253, 133, 2, 11,
]);
self.WORKER_MODULE = WebAssembly.validate(RELAXED) ? "worker_relaxed.wasm" : "worker_bg.wasm";
