// Drawing, once a frame, whatever has changed: the radiograph, what lies over it, and what the controls say.

import { $, app } from "./app.js";
import { stored } from "./greys.js";
import { asked, drawPanel, first } from "./ruler.js";

const stage = $("stage"), canvas = $("canvas");

let wanted = false;
app.draw = () => {
  if (wanted) return;
  wanted = true;
  requestAnimationFrame(() => { wanted = false; render(); });
};

export function render() {
  if (!app.raster) return;
  renderPicture();
  app.overlay.draw(app);
  app.panel.draw(app);
  app.panel.drawLoupe(app);
  drawPanel();
  drawHint();
  drawButtons();
}

let drawn = ""; // what the picture on the stage was made of: while a point is dragged, it stays
let drawnFast = false, shown = 0, changedAt = 0, later = 0;

function renderPicture() {
  const { view, raster } = app, ratio = devicePixelRatio || 1;
  const made = JSON.stringify([raster.serialOfAll, ...stored(), app.inverted, view.zoom, view.left, view.top, view.mirrored, canvas.width, canvas.height]);
  const fast = app.raster.serialOfAll === shown && performance.now() - changedAt < 100; // while the picture moves or its window does
  if (made === drawn && fast === drawnFast) return;
  if (made !== drawn) {
    changedAt = performance.now();
    clearTimeout(later);
    later = setTimeout(app.draw, 130);
  }
  [drawn, drawnFast, shown] = [made, fast, raster.serialOfAll];
  const context = canvas.getContext("2d", { alpha: false });
  raster.setWindow(...stored(), app.inverted);
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.fillStyle = "#0b0d10";
  context.fillRect(0, 0, canvas.width, canvas.height);
  const n = raster.levelFor(view.zoom * ratio), { width, height } = raster.level(n), across = raster.width * view.zoom;
  context.setTransform(view.mirrored ? -ratio : ratio, 0, 0, ratio, (view.left + (view.mirrored ? across : 0)) * ratio, view.top * ratio);
  context.beginPath();
  context.rect(0, 0, across, raster.height * view.zoom);
  context.save();
  context.clip(); // the last pixel of a halved odd side reaches over the edge
  context.imageSmoothingEnabled = view.zoom * ratio < 6;
  context.imageSmoothingQuality = fast ? "low" : "high"; // the low one shifts a reduced picture by a thirtieth of a pixel
  const pixel = 2 ** n * view.zoom;
  context.drawImage(raster.canvas(n), 0, 0, width * pixel, height * pixel);
  context.restore();
}

function drawHint() {
  const { view, raster, cursor, aim } = app, at = aim ?? (cursor ? view.toImage(...cursor) : null);
  const [dark, bright] = stored().map((value) => raster.about.low + raster.about.step * value);
  const value = at ? raster.at(...at) : undefined;
  const place = at ? `x ${at[0].toFixed(1)}  y ${at[1].toFixed(1)}${value === undefined ? "" : `  value ${+(raster.about.low + raster.about.step * value).toPrecision(5)}`}\n` : "";
  $("hint").textContent = `${app.told ? `${app.told}\n` : ""}${app.measuring ? `${asked()}\n` : ""}${place}${raster.width} x ${raster.height} px  zoom ${view.zoom.toFixed(2)}  window ${+dark.toPrecision(4)} to ${+bright.toPrecision(4)}${view.mirrored ? "  mirrored" : ""}${app.inverted ? "  inverted" : ""}`;
}

function drawButtons() {
  const { marks } = app, press = (id, on) => $(id).setAttribute("aria-pressed", on);
  press("invert", app.inverted); press("mirror", app.view.mirrored); press("names", app.showNames); press("lines", app.showLines); press("second-look", marks.second_look);
  $("undo").disabled = !marks.history.length;
  $("redo").disabled = !marks.undone.length;
  $("accept-all").disabled = marks.readonly || !marks.names.some((_, k) => marks.state(k) === "proposed");
  $("second-look").disabled = marks.readonly || !first();
  const decided = marks.names.filter((_, k) => marks.decided(k)).length;
  $("item-state").textContent = decided === marks.names.length ? "done" : `${decided} of ${marks.names.length}`;
}

export function resize() {
  const { view } = app, ratio = devicePixelRatio || 1, before = [view.stageWidth, view.stageHeight];
  view.stageWidth = stage.clientWidth;
  view.stageHeight = stage.clientHeight;
  canvas.width = Math.round(view.stageWidth * ratio);
  canvas.height = Math.round(view.stageHeight * ratio);
  drawn = ""; // a canvas that is given a size, the same one too, is empty
  document.documentElement.style.setProperty("--header", `${document.querySelector("header").offsetHeight}px`);
  if (view.fitted) view.fit();
  else view.pan((view.stageWidth - before[0]) / 2, (view.stageHeight - before[1]) / 2);
  render();
}
