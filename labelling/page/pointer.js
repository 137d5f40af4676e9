// The mouse on the stage: click places, dragging a point moves it, dragging elsewhere pans, Shift draws a box, right is the window.

import * as edit from "./edit.js";
import { dragWindow } from "./greys.js";
import { click } from "./ruler.js";

const NEAR = 10; // CSS px from a point, within which it is taken
const STILL = 4; // CSS px that a hand shakes in a click

export class Pointer {
  constructor(stage, app) {
    Object.assign(this, { stage, app, mode: null, start: [0, 0], last: [0, 0], moved: false });
    stage.addEventListener("pointerdown", (event) => this.down(event));
    stage.addEventListener("pointermove", (event) => this.move(event));
    stage.addEventListener("pointerup", (event) => this.up(event));
    stage.addEventListener("pointercancel", () => this.cancel());
    stage.addEventListener("pointerleave", () => { if (!this.mode) { app.cursor = null; app.draw(); } });
    stage.addEventListener("contextmenu", (event) => event.preventDefault());
    stage.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
  }

  where(event) {
    const box = this.stage.getBoundingClientRect(), ratio = devicePixelRatio || 1;
    const snapped = (edge) => Math.round(edge * ratio) / ratio; // the browser draws from whole pixels of the screen on
    return [event.clientX - snapped(box.left), event.clientY - snapped(box.top)];
  }

  // the point at (u, v), the active one before others
  pointAt(u, v) {
    const { view, marks, active } = this.app;
    let best = -1, least = NEAR;
    marks.names.forEach((_, k) => {
      const mark = marks.at(k);
      if (!mark || mark.x === undefined) return;
      const [a, b] = view.toStage(mark.x, mark.y);
      const distance = Math.hypot(a - u, b - v) - (k === active ? 3 : 0);
      if (distance < least) [best, least] = [k, distance];
    });
    return best;
  }

  down(event) {
    if (event.target.closest("#banner") || this.mode) return;
    this.stage.focus({ preventScroll: true });
    this.stage.setPointerCapture(event.pointerId);
    const [u, v] = this.where(event), { app } = this;
    this.start = [u, v];
    this.last = [u, v];
    this.moved = false;
    app.cursor = [u, v];
    if (event.button === 2) this.mode = "window";
    else if (event.button === 1) this.mode = "pan";
    else {
      const k = event.altKey || app.measuring ? -1 : this.pointAt(u, v);
      if (event.shiftKey && k >= 0) { edit.toggle(k); this.mode = "none"; }
      else if (event.shiftKey) this.mode = "box";
      else if (k >= 0) { edit.grab(k); this.mode = "drag"; }
      else this.mode = "click";
    }
    event.preventDefault();
    app.draw();
  }

  move(event) {
    const [u, v] = this.where(event), { app } = this;
    app.cursor = [u, v];
    app.aim = null;
    if (!this.mode) this.stage.classList.toggle("over", this.pointAt(u, v) >= 0);
    if (this.mode && !this.moved && Math.hypot(u - this.start[0], v - this.start[1]) >= STILL) {
      this.moved = true;
      if (this.mode === "click") this.mode = "pan";
      if (this.mode === "pan") this.stage.classList.add("panning");
      if (this.mode === "window") this.stage.classList.add("windowing");
    }
    const du = u - this.last[0], dv = v - this.last[1];
    if (this.mode === "drag" && this.moved) {
      const a = app.view.toImage(...this.start), b = app.view.toImage(u, v);
      edit.drag(b[0] - a[0], b[1] - a[1]);
    } else if (this.mode === "pan" && this.moved) app.view.pan(du, dv);
    else if (this.mode === "window" && this.moved) dragWindow(du, dv);
    else if (this.mode === "box") app.box = [...this.start, u, v];
    if (this.mode !== "click") this.last = [u, v];
    app.draw();
  }

  up(event) {
    const { app } = this, mode = this.mode;
    this.mode = null;
    this.stage.classList.remove("panning", "windowing");
    if (mode === "click" && !this.moved) (app.measuring ? click : edit.place)(...app.view.toImage(...this.start));
    if (mode === "drag") edit.drop(this.moved);
    if (mode === "box") { edit.selectBox(app.box); app.box = null; }
    app.cursor = this.where(event);
    app.draw();
  }

  cancel() {
    const mode = this.mode;
    this.mode = null;
    if (mode === "drag") edit.drop(false);
    this.app.box = null;
    this.stage.classList.remove("panning", "windowing");
    this.app.draw();
  }

  wheel(event) {
    event.preventDefault();
    const [u, v] = this.where(event);
    const pixels = event.deltaMode === 1 ? event.deltaY * 33 : event.deltaY;
    this.app.view.zoomAt(u, v, Math.exp(-pixels / 400));
    this.app.draw();
  }
}
