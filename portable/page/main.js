// The page: a film in, its landmarks drawn, as a table and as files. Nothing is sent anywhere.

import { readFilm } from "./film.js";

const by = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
let about, film, hands, name, worker;

navigator.serviceWorker?.register("sw.js").then(() => navigator.serviceWorker.ready).then(() => {
  if (!crossOriginIsolated && !sessionStorage.getItem("isolated")) { sessionStorage.setItem("isolated", "1"); location.reload(); } else start();
}).catch(start) ?? start();

function start() {
  worker = new Worker("worker.js", { type: "module" });
  worker.onmessage = ({ data }) => {
    if (data.share !== undefined) { by("load").value = data.share; return; }
    if (data.about) { about = data.about; by("loading").hidden = true; by("inputs").disabled = false; say("Drop a radiograph, choose a file, or try an example."); return; }
    by("stage").removeAttribute("aria-busy");
    by("inputs").disabled = false;
    if (data.error) return fail(data.error);
    hands = data.hands;
    show();
  };
}

function say(text) { by("state").textContent = text; by("state").className = ""; }
function fail(text) { say(`${name ? `${name}: ` : ""}${text}`); by("state").className = "bad"; }

async function take(file) {
  name = file.name;
  hands = null;
  by("results").hidden = true;
  try {
    film = await readFilm(file);
  } catch (error) { return fail(error.message); }
  paint();
  by("overlay").replaceChildren();
  by("inputs").disabled = true;
  by("stage").setAttribute("aria-busy", "true");
  say(`${name}: looking for landmarks ...`);
  worker.postMessage({ pixels: film.pixels, rows: film.rows, columns: film.columns });
}

function paint() {
  const { pixels, rows, columns, low, high } = film;
  const canvas = by("film");
  [canvas.width, canvas.height] = [columns, rows];
  const shades = new ImageData(columns, rows);
  pixels.forEach((value, i) => shades.data.set([0, 0, 0].fill(255 * (value - low) / (high - low)).concat(255), 4 * i));
  canvas.getContext("2d").putImageData(shades, 0, 0);
  by("overlay").setAttribute("viewBox", `-0.5 -0.5 ${columns} ${rows}`);
  by("stage").style.setProperty("--ratio", columns / rows);
  by("stage").hidden = false;
}

function draw(tag, at, kind) {
  const element = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(at)) element.setAttribute(key, value);
  element.setAttribute("class", kind);
  by("overlay").append(element);
  return element;
}

function show() {
  const radius = Math.max(film.rows, film.columns) / 320;
  for (const hand of hands) {
    for (const [a, b] of about.skeleton) {
      const [[x1, y1], [x2, y2]] = [hand.points[a], hand.points[b]];
      draw("line", { x1, y1, x2, y2 }, "bone");
    }
    hand.points.forEach(([x, y], i) => {
      const [long, short, angle] = hand.ellipses[i];
      const kind = hand.landmark_flags[i] ? "flagged" : "good";
      if (Number.isFinite(long)) draw("ellipse", { cx: x, cy: y, rx: long, ry: short, transform: `rotate(${angle} ${x} ${y})` }, kind);
      const title = document.createElementNS(SVG, "title");
      title.textContent = `${about.landmarks[i]}, confidence ${hand.confidence[i].toFixed(2)} ${hand.landmark_flags[i]}`;
      draw("circle", { cx: x, cy: y, r: radius }, `point ${kind}`).append(title);
    });
  }
  const flags = [...new Set(hands.flatMap((hand) => hand.flags))];
  say(`${name}: ${hands.length === 1 ? "one hand" : `${hands.length} hands`}. ${flags.length ? `Flags: ${flags.join("; ")}.` : "No flags."}`);
  fill("landmarks", landmarkRows().slice(1).map((row) => [row[0], row[3], row[4], row[5], row[6], row[10]]));
  fill("lengths", lengthRows());
  by("results").hidden = false;
}

function fill(id, rows) {
  by(id).replaceChildren(...rows.map((values) => {
    const row = document.createElement("tr");
    row.append(...values.map((value) => Object.assign(document.createElement("td"), { textContent: Number.isInteger(value) ? value : value.toFixed?.(2) ?? value })));
    return row;
  }));
}

function landmarkRows() {
  const head = ["hand", "side", "landmark", "name", "x", "y", "confidence", "semi_major", "semi_minor", "angle", "landmark_flags", "flags"];
  return [head, ...hands.flatMap((hand, h) => hand.points.map((point, i) =>
    [h + 1, hand.side, i, about.landmarks[i], ...point, hand.confidence[i], ...hand.ellipses[i], hand.landmark_flags[i], hand.flags.join("; ")]))];
}

function lengthRows() {
  const [sx, sy] = film.spacing ?? [1, 1];
  return hands.flatMap((hand, h) => Object.entries(about.lengths).map(([called, [a, b]]) => {
    const [[x1, y1], [x2, y2]] = [hand.points[a], hand.points[b]];
    return [h + 1, called, Math.hypot(sx * (x1 - x2), sy * (y1 - y2)), film.spacing ? "mm" : "px"];
  }));
}

function save(content, ending) {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(content), download: `${name.replace(/\.\w+$/, "")}_landmarks.${ending}` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

by("csv").onclick = () => {
  const quoted = (value) => (typeof value === "number" ? value : /[",\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);
  save(new Blob([landmarkRows().map((row) => `${row.map(quoted).join(",")}\n`).join("")], { type: "text/csv" }), "csv");
};
by("picture").onclick = () => {
  const canvas = new OffscreenCanvas(film.columns, film.rows);
  const pen = canvas.getContext("2d");
  pen.drawImage(by("film"), 0, 0);
  pen.translate(0.5, 0.5); // the centre of the first pixel is (0, 0)
  for (const shape of by("overlay").children) {
    const at = Object.fromEntries(Array.from(shape.attributes, ({ name: key, value }) => [key, Number(value)]));
    [pen.strokeStyle, pen.lineWidth] = [getComputedStyle(shape).stroke, film.rows / 700];
    pen.beginPath();
    if (shape.tagName === "line") { pen.moveTo(at.x1, at.y1); pen.lineTo(at.x2, at.y2); }
    if (shape.tagName === "circle") pen.arc(at.cx, at.cy, at.r, 0, 7);
    if (shape.tagName === "ellipse") pen.ellipse(at.cx, at.cy, at.rx, at.ry, parseFloat(shape.getAttribute("transform").slice(7)) * Math.PI / 180, 0, 7);
    pen.stroke();
  }
  canvas.convertToBlob().then((blob) => save(blob, "png"));
};
by("file").onchange = ({ target }) => { if (target.files[0]) take(target.files[0]); target.value = ""; };
for (const button of document.querySelectorAll("[data-example]"))
  button.onclick = async () => take(new File([await (await fetch(button.dataset.example)).blob()], button.dataset.example));
document.body.ondragover = (event) => event.preventDefault();
document.body.ondrop = (event) => {
  event.preventDefault();
  const [file] = event.dataTransfer.files;
  if (file && !by("inputs").disabled) take(file);
};
