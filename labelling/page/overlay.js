// Points, regions, bones, names and crosshair over the radiograph, as SVG in the stage's own pixels.

const POINT = 6; // px from a point that no name covers
const SPACE = "http://www.w3.org/2000/svg";

export function element(name, attributes = {}, parent = null) {
  const made = document.createElementNS(SPACE, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (parent) parent.append(made);
  return made;
}

// lay a line between two places on the stage; it is hidden where there are none
function stretch(line, from, to) {
  line.setAttribute("visibility", from && to ? "visible" : "hidden");
  if (!from || !to) return;
  line.setAttribute("x1", from[0]); line.setAttribute("y1", from[1]);
  line.setAttribute("x2", to[0]); line.setAttribute("y2", to[1]);
}

export class Overlay {
  constructor(svg, names, skeleton) {
    Object.assign(this, { svg, names, skeleton, widths: new Map() });
    this.bones = skeleton.map(() => element("line", { class: "bone" }, svg));
    this.apart = names.map(() => element("line", { class: "apart" }, svg));
    this.others = element("g", {}, svg);
    this.regions = names.map(() => element("ellipse", { class: "region" }, svg));
    this.points = names.map((name) => {
      const group = element("g", { class: "point" }, svg);
      element("circle", { class: "halo", r: 6 }, group);
      element("circle", { class: "ring", r: 6 }, group);
      element("circle", { class: "dot", r: 1.2 }, group);
      element("path", { class: "cross", d: "M-5 0H-2M2 0H5M0 -5V-2M0 2V5" }, group);
      const text = element("text", { x: 9, y: -7 }, group);
      text.textContent = name;
      return { group, text };
    });
    this.ruler = element("g", { class: "ruler" }, svg);
    this.hairs = [element("line", { class: "hair" }, svg), element("line", { class: "hair" }, svg)];
    this.aim = element("path", { class: "aim", d: "M-12 0H-3M3 0H12M0 -12V-3M0 3V12" }, svg);
    this.box = element("rect", { class: "box" }, svg);
  }

  // view: viewport; marks; active, selected, names, lines, cursor [u, v], aim [x, y], box [u, v, u2, v2], others
  draw({ view, marks, active, selected, showNames, showLines, cursor, aim, box, others, crosshair, session, measuring }) {
    const at = this.names.map((_, k) => marks.at(k));
    const on = at.map((mark) => (mark && mark.x !== undefined ? view.toStage(mark.x, mark.y) : null));
    this.points.forEach(({ group, text }, k) => {
      const place = on[k];
      group.setAttribute("visibility", place ? "visible" : "hidden");
      if (!place) return;
      group.setAttribute("transform", `translate(${place[0]} ${place[1]})`);
      const kind = ["point", at[k].state, at[k].unsure && "unsure", k === active && "active", selected.has(k) && "selected"];
      group.setAttribute("class", kind.filter(Boolean).join(" "));
      text.textContent = this.names[k] + (at[k].unsure ? " ?" : "");
    });
    this.drawNames(on, showNames, active);
    this.regions.forEach((ellipse, k) => {
      const seen = on[k] && at[k].state === "proposed" && at[k].region;
      ellipse.setAttribute("visibility", seen ? "visible" : "hidden");
      if (!seen) return;
      const [long, short, degrees] = at[k].region;
      ellipse.setAttribute("rx", long * view.zoom);
      ellipse.setAttribute("ry", short * view.zoom);
      ellipse.setAttribute("transform", `translate(${on[k][0]} ${on[k][1]}) rotate(${view.mirrored ? -degrees : degrees})`);
    });
    this.apart.forEach((line, k) => { // in a review, from what a person confirmed to what the network found
      const found = session?.reviewing && at[k]?.state === "confirmed" && marks.proposal?.points[k];
      stretch(line, on[k], found && found[0] !== null ? view.toStage(found[0], found[1]) : null);
    });
    this.bones.forEach((line, n) => {
      const [a, b] = this.skeleton[n].map((k) => (showLines ? on[k] : null));
      stretch(line, a, b);
    });
    const [u, v] = cursor ?? [], seen = cursor && crosshair, [across, down] = this.hairs;
    stretch(across, seen && [0, v], [view.stageWidth, v]);
    stretch(down, seen && [u, 0], [u, view.stageHeight]);
    this.aim.setAttribute("visibility", aim ? "visible" : "hidden");
    if (aim) this.aim.setAttribute("transform", `translate(${view.toStage(...aim)})`);
    this.box.setAttribute("visibility", box ? "visible" : "hidden");
    if (box) {
      this.box.setAttribute("x", Math.min(box[0], box[2])); this.box.setAttribute("y", Math.min(box[1], box[3]));
      this.box.setAttribute("width", Math.abs(box[2] - box[0])); this.box.setAttribute("height", Math.abs(box[3] - box[1]));
    }
    this.drawRuler(measuring ?? marks.ruler?.ends ?? [], aim ? view.toStage(...aim) : cursor, view, measuring ? "" : `${marks.ruler?.mm} mm`);
    this.drawOthers(others, view, active);
  }

  // a known length with its size, or as far as it is clicked
  drawRuler(ends, cursor, view, size) {
    this.ruler.replaceChildren();
    const places = ends.map((end) => view.toStage(...end));
    if (places.length === 1 && cursor) places.push(cursor);
    if (places.length < 2) return;
    const [[a, b], [c, d]] = places, length = Math.hypot(c - a, d - b) || 1, tick = [(d - b) / length * 6, (a - c) / length * 6];
    const ticks = places.map(([u, v]) => `M${u - tick[0]} ${v - tick[1]}L${u + tick[0]} ${v + tick[1]}`).join("");
    for (const kind of ["under", "line"]) element("path", { class: kind, d: `M${a} ${b}L${c} ${d}${ticks}` }, this.ruler);
    element("text", { x: (a + c) / 2 + 9, y: (b + d) / 2 - 7 }, this.ruler).textContent = size;
  }

  // names that lie over no other point and no other name, to the right of their points or else to the left, the active one first
  drawNames(on, shown, active) {
    const order = on.map((_, k) => k).sort((a, b) => (b === active) - (a === active));
    const taken = on.map((place) => place && [place[0] - POINT, place[1] - POINT, place[0] + POINT, place[1] + POINT]).filter(Boolean);
    for (const k of order) {
      const { text } = this.points[k];
      if (!on[k] || !shown) { text.setAttribute("visibility", "hidden"); continue; }
      const [u, v] = on[k], width = this.widthOf(text), boxes = [u + 8, u - 8 - width].map((left) => [left, v - 20, left + width, v - 3]);
      let side = boxes.findIndex((box) => taken.every((other) => box[0] > other[2] || box[2] < other[0] || box[1] > other[3] || box[3] < other[1]));
      if (side < 0 && k === active) side = 0;
      text.setAttribute("visibility", side < 0 ? "hidden" : "inherit");
      if (side < 0) continue;
      text.setAttribute("x", side ? -9 : 9);
      text.setAttribute("text-anchor", side ? "end" : "start");
      taken.push(boxes[side]);
    }
  }

  // px that a name takes
  widthOf(text) {
    const name = text.textContent;
    if (!this.widths.has(name)) this.widths.set(name, text.getComputedTextLength() + 2);
    return this.widths.get(name);
  }

  // the two readers that a third look settles between: a diamond and a square
  drawOthers(others, view, active) {
    this.others.replaceChildren();
    others.forEach(({ marks }, n) => {
      const mark = marks[active];
      if (!mark || mark.x === undefined) return;
      const [u, v] = view.toStage(mark.x, mark.y);
      element("path", { class: n ? "two" : "one", d: n ? "M-7 -7H7V7H-7Z" : "M0 -9L9 0L0 9L-9 0Z", transform: `translate(${u} ${v})` }, this.others);
    });
  }
}
