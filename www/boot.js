// Starts the page. It is a file of its own so that the content security policy needs no inline script.

// A function with one instruction of 128-bit SIMD: where it is not valid, the engine is not either.
const SIMD = new Uint8Array([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11,
]);

function say(words) {
  const waiting = document.getElementById("waiting");
  if (waiting) {
    waiting.textContent = words;
    waiting.setAttribute("role", "alert");
  }
}

async function start() {
  if (typeof WebAssembly !== "object") {
    return say("This browser has no WebAssembly, with which Hilum computes. A current Chrome, Edge, Firefox or Safari has it; some hardened settings switch it off.");
  }
  if (!WebAssembly.validate(SIMD)) {
    return say("This browser's WebAssembly has no SIMD, which Hilum needs to compute in bearable time. A current Chrome, Edge, Firefox or Safari has it.");
  }
  const script = document.querySelector("script[data-wasm]");
  try {
    const page = await import(script.dataset.js);
    await page.default({ module_or_path: script.dataset.wasm });
  } catch (error) {
    say(`The page's program did not load (${error}). Is the server there? Reload the page to try again.`);
    return;
  }
  // Only so that the page opens with the network off; where it is forbidden, the page works without.
  navigator.serviceWorker?.register("service-worker.js").catch(() => {});
}

start();
