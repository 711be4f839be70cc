// Keeps the page itself, so that it opens with the network off. From the network first, so that it is never stale;
// models are the engine's own affair, which keeps and verifies them by their hashes.
const KEPT = "hilum-page-1";

importScripts("worker-module.js");

// Kept from the first visit on: by then the page has loaded most of these without passing here.
const PAGE = [
  "./", "styles.css", "icon.svg", "manifest.webmanifest", "boot.js", "page.js", "page_bg.wasm",
  "worker-boot.js", "worker-module.js", "worker.js", self.WORKER_MODULE,
  "samples/normal.png", "samples/effusion.png", "samples/pneumothorax.png", "samples/devices.png",
];

self.addEventListener("install", (event) => {
  self.skipWaiting();
  event.waitUntil(caches.open(KEPT).then((kept) => kept.addAll(PAGE)));
});
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

self.addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  const own = url.origin === self.location.origin && event.request.method === "GET";
  if (!own || url.pathname.includes("/models/")) return;
  event.respondWith(fromNetworkElseKept(event.request));
});

async function fromNetworkElseKept(request) {
  const kept = await caches.open(KEPT);
  // The page is one and the same whatever its address asks of it, so it is kept once.
  const key = request.mode === "navigate" && new URL(request.url).pathname.endsWith("/") ? "./" : request;
  try {
    const response = await fetch(request);
    // A full storage is no failure.
    if (response.status === 200) await kept.put(key, response.clone()).catch(() => {});
    return response;
  } catch (error) {
    const found = await kept.match(key);
    if (found) return found;
    throw error;
  }
}
