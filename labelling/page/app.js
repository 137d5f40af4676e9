// What all parts of the page share: its state, and how it speaks to the reader.

import { unique } from "./api.js";
import { Viewport } from "./viewport.js";

export const $ = (id) => document.getElementById(id);

export const make = (name, text = null, attributes = {}) => Object.assign(document.createElement(name), { textContent: text, ...attributes });

export const app = {
  window: unique(), view: new Viewport(), raster: null, marks: null, active: -1, selected: new Set(), cursor: null, aim: null, box: null, measuring: null,
  showNames: true, showLines: true, crosshair: true, inverted: false, widths: 1, shift: 0, all: false, dragging: null, visited: [], others: [],
  guideVersion: 0, ahead: null, last: 0, placed: null, told: null,
};

export const say = (text) => { $("live").textContent = text; };

const TOLD_MS = 3000;

// said, and shown for a while at the picture's foot: why a key or click did nothing
export function tell(text) {
  say(text);
  app.told = text;
  app.draw();
  setTimeout(() => { if (app.told === text) { app.told = null; app.draw(); } }, TOLD_MS);
}

export function banner(text, actions = []) {
  $("banner").hidden = !text;
  $("banner-text").textContent = text ?? "";
  $("banner-actions").replaceChildren(...actions.map(([label, act]) => {
    const button = make("button", label);
    button.addEventListener("click", act);
    return button;
  }));
}
