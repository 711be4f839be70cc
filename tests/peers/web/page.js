// Hands what the driver asks to a worker: both sides compute there, as the page does.
const worker = new Worker("worker.js", { type: "module" });
const waiting = [];
worker.onmessage = ({ data }) => {
  const { resolve, reject } = waiting.shift();
  if ("error" in data) reject(new Error(data.error));
  else resolve(data.answer);
};
worker.onerror = (event) => waiting.shift()?.reject(new Error(event.message || "the worker did not load"));

window.ask = (message) =>
  new Promise((resolve, reject) => {
    waiting.push({ resolve, reject });
    worker.postMessage(message);
  });
