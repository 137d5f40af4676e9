// The window that turns stored values into grey: presets, dragging; kept over radiographs, as shares of what suits each one.

import { $, app } from "./app.js";

// of the window that suits the radiograph: by how much its width is multiplied and its middle moved, in widths
export const PRESETS = { "1 fitted": [1, 0], "2 all values": null, "3 bone": [0.6, 0.22], "4 soft tissue": [0.5, -0.28], "5 flat": [1.7, 0.1] };

export function stored() { // the window in stored values
  const { about, size } = app.raster, [dark, bright] = about.window, width = bright - dark;
  if (app.all) return [0, about.bits === 8 ? 255 : Math.min(size - 1, app.raster.top ??= app.raster.levels[0].data.reduce((a, b) => (a > b ? a : b), 0))];
  const middle = (dark + bright) / 2 + app.shift * width, half = (width * app.widths) / 2;
  return [middle - half, middle + half];
}

export const dragWindow = (dx, dy) => {
  app.all = false;
  app.widths = Math.min(Math.max(app.widths * Math.exp(-dx / 200), 0.01), 20);
  app.shift = Math.min(Math.max(app.shift + dy / 300 * Math.max(app.widths, 0.2), -2), 2);
};

export const setPreset = (name) => {
  const [widths, shift] = PRESETS[name] ?? [1, 0];
  Object.assign(app, { widths, shift, all: PRESETS[name] === null });
  $("preset").value = name;
  app.draw();
};
