// Beside the radiograph: the landmark at work, its guide picture and place in the skeleton, the loupe, and the list of landmarks.

import { guide } from "./api.js";
import { $, make } from "./app.js";
import { element } from "./overlay.js";

const SIGNS = { confirmed: "●", proposed: "◌", absent: "∅", open: "○" };
const WORDS = { confirmed: "confirmed", proposed: "proposed, not accepted yet", absent: "absent", open: "not placed yet" };

export class Panel {
  constructor(session, choose) {
    this.session = session;
    this.rows = session.names.map((name, k) => {
      const item = make("li"), button = make("button"), sign = make("span", null, { className: "sign", ariaHidden: "true" });
      button.append(sign, make("span", name, { className: "text" }));
      button.addEventListener("click", () => choose(k));
      item.append(button);
      $("landmarks").append(item);
      return { item, button, sign, name };
    });
    this.loupe = $("loupe").getContext("2d", { alpha: false });
    this.image = this.loupe.createImageData(168, 168);
    this.guided = null;
    this.drawShape(session.shape);
  }

  drawShape(shape) {
    $("shape-figure").hidden = !shape;
    if (!shape) return;
    const axis = (i) => shape.map((point) => point[i]), low = [0, 1].map((i) => Math.min(...axis(i)));
    const span = Math.max(...[0, 1].map((i) => Math.max(...axis(i)) - low[i])) || 1;
    const middle = [0, 1].map((i) => (Math.max(...axis(i)) + low[i]) / 2);
    const place = ([x, y]) => [84 + ((x - middle[0]) / span) * 148, 84 + ((y - middle[1]) / span) * 148];
    const svg = $("shape");
    svg.replaceChildren();
    this.turned = element("g", {}, svg);
    for (const pair of this.session.skeleton) {
      const [a, b] = pair.map((k) => place(shape[k]));
      element("line", { x1: a[0], y1: a[1], x2: b[0], y2: b[1] }, this.turned);
    }
    this.dots = shape.map((point) => element("circle", { cx: place(point)[0], cy: place(point)[1], r: 2.5 }, this.turned));
  }

  draw(app) {
    const { marks, active } = app;
    this.rows.forEach(({ item, button, sign, name }, k) => {
      const state = marks.state(k), unsure = marks.at(k)?.unsure;
      const key = `${state}${unsure}${k === active}`;
      if (button.dataset.key === key) return;
      button.dataset.key = key;
      item.className = state;
      sign.textContent = unsure ? "?" : SIGNS[state];
      button.ariaLabel = `${name}: ${WORDS[state]}${unsure ? ", unsure" : ""}`;
      button.setAttribute("aria-current", k === active);
      if (k === active) button.scrollIntoView({ block: "nearest" });
    });
    const mark = active >= 0 ? marks.at(active) : null, state = active >= 0 ? marks.state(active) : null;
    $("landmark-name").textContent = active >= 0 ? marks.names[active] : "all landmarks are decided";
    $("landmark-state").textContent = active < 0 ? "Page Down goes on" : (app.key.reading ? "second reading, the first is kept; " : "") + WORDS[state] + (mark?.unsure ? ", unsure" : "")
      + (mark?.region ? `; within ${mark.region[0].toFixed(1)} x ${mark.region[1].toFixed(1)} px` : "");
    $("accept").disabled = state !== "proposed" || marks.readonly;
    $("absent").setAttribute("aria-pressed", state === "absent");
    $("unsure").setAttribute("aria-pressed", !!mark?.unsure);
    $("unsure").disabled = marks.readonly || !["confirmed", "absent"].includes(state);
    $("remove").disabled = marks.readonly || !mark;
    $("absent").disabled = marks.readonly || active < 0;
    if (this.dots) {
      this.dots.forEach((dot, k) => { dot.setAttribute("class", k === active ? "here" : ""); dot.setAttribute("r", k === active ? 5 : 2.5); });
      this.turned.setAttribute("transform", app.view.mirrored ? "translate(168 0) scale(-1 1)" : "");
    }
    $("guide").style.transform = app.view.mirrored ? "scaleX(-1)" : "";
  }

  // the guide picture of the landmark; it appears once a radiograph is annotated
  async guide(k, version) {
    const wanted = `${k} ${version}`;
    if (wanted === this.guided || k < 0) return;
    this.guided = wanted;
    const picture = await guide(k).catch(() => null), there = !!picture?.size;
    if (wanted !== this.guided) return; // another one was asked for meanwhile
    $("guide-figure").hidden = !there;
    $("guides").classList.toggle("pair", there);
    if (!there) return;
    URL.revokeObjectURL($("guide").src);
    $("guide").src = URL.createObjectURL(picture);
    $("guide").alt = `${this.session.names[k]} in the first annotated radiograph`;
    $("guide-caption").textContent = "first annotated";
  }

  // the middle between two readers' marks
  between(others, k) {
    const points = others.map(({ marks }) => marks[k]).filter((mark) => mark?.x !== undefined);
    return points.length ? ["x", "y"].map((axis) => points.reduce((sum, point) => sum + point[axis], 0) / points.length) : null;
  }

  drawLoupe(app) {
    const { raster, view, cursor, active, marks, aim } = app;
    const mark = active >= 0 ? marks.at(active) : null;
    let center = aim ?? (app.dragging && mark?.x !== undefined ? [mark.x, mark.y] : cursor ? view.toImage(...cursor) : mark?.x !== undefined ? [mark.x, mark.y] : null);
    center ??= this.between(app.others, active);
    if (!center) return;
    const step = Math.min(0.5, 1 / (view.zoom * 3)); // px of the radiograph per px of the loupe
    raster.around(center[0], center[1], step, view.mirrored, this.image);
    this.loupe.putImageData(this.image, 0, 0);
    this.loupe.strokeStyle = "#7cc4ff";
    this.loupe.beginPath();
    for (const [a, b] of [[0, 76], [92, 168]]) {
      this.loupe.moveTo(84, a); this.loupe.lineTo(84, b);
      this.loupe.moveTo(a, 84); this.loupe.lineTo(b, 84);
    }
    this.loupe.stroke();
  }
}
