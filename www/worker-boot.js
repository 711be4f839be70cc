// Loads the engine into its worker. What goes wrong, here and later, is sent to the page.
self.addEventListener("unhandledrejection", (event) => self.postMessage({ broken: `${event.reason}` }));
try {
  const engine = await import("./worker.js");
  await engine.default();
} catch (error) {
  self.postMessage({ broken: `its program did not load: ${error}` });
}
