// Loads the engine into its worker. What goes wrong, here and later, is sent to the page.
self.addEventListener("unhandledrejection", (event) => self.postMessage({ broken: `${event.reason}` }));
try {
  await import("./worker-module.js");
  const engine = await import("./worker.js");
  await engine.default({ module_or_path: self.WORKER_MODULE });
} catch (error) {
  self.postMessage({ broken: `its program did not load: ${error}` });
}
