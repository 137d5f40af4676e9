// Computes beside the page, so that it stays usable.

import * as ort from "./ort/ort.wasm.min.mjs";
import { Model } from "./landmarks.js";

ort.env.wasm.wasmPaths = new URL("./ort/", import.meta.url).href;
ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(8, navigator.hardwareConcurrency) : 1;

const loading = Model.load(ort, "model", (share) => postMessage({ share }));
loading.then((model) => postMessage({ about: model.about }), (error) => postMessage({ error: String(error.message ?? error) }));

onmessage = async ({ data: { pixels, rows, columns } }) => {
  try {
    postMessage({ hands: await (await loading).landmarks(pixels, rows, columns) });
  } catch (error) {
    postMessage({ error: String(error.message ?? error) });
  }
};
