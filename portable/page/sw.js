// Keeps the folder's files for use without a network, and asks the browser to isolate the page, so that threads are allowed.

const KEPT = "landmarks-DIGEST";

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil((async () => {
  for (const name of await caches.keys()) if (name.startsWith("landmarks-") && name !== KEPT) await caches.delete(name);
  await self.clients.claim();
})()));
self.addEventListener("fetch", (event) => {
  if (event.request.method !== "GET" || new URL(event.request.url).origin !== location.origin) return;
  event.respondWith((async () => {
    const kept = await caches.open(KEPT);
    const known = await kept.match(event.request);
    if (known) return known;
    const answer = await fetch(event.request);
    if (!answer.ok) return answer;
    const headers = new Headers(answer.headers);
    headers.set("Cross-Origin-Opener-Policy", "same-origin");
    headers.set("Cross-Origin-Embedder-Policy", "require-corp");
    const isolated = new Response(answer.body, { status: answer.status, headers });
    await kept.put(event.request, isolated.clone());
    return isolated;
  })());
});
