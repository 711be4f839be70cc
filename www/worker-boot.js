// Loads the engine into its worker. What goes wrong, here and later, is sent to the page as text.
self.addEventListener("unhandledrejection", (event) => self.postMessage(`${event.reason}`));
try {
  const engine = await import("./worker.js");
  await engine.default();
} catch (error) {
  self.postMessage(`its program did not load: ${error}`);
}
