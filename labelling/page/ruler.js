// A known length in the radiograph, clicked at both ends: it says how large a pixel is.

import { $, app, say, tell } from "./app.js";
import { act } from "./edit.js";
import { exact } from "./marks.js";

const between = ([a, b]) => Math.hypot(b[0] - a[0], b[1] - a[1]);
export const first = () => !app.key.reading && !app.key.settle; // the reading that the pixel size belongs to

export function begin() {
  if (app.measuring) return end();
  if (!first()) return tell("the pixel size belongs to the first reading");
  if (app.marks.readonly) return tell("another window works on this radiograph");
  app.measuring = [];
  say(asked());
  app.draw();
}

export function end() {
  app.measuring = app.aim = null;
  $("ruler-dialog").close();
  app.draw();
}

export const asked = () => `known length, as of a ruler or a marker ball: its ${app.measuring.length ? "other" : "first"} end (Esc ends)`;

export function click(x, y) {
  const { measuring, view } = app, { px } = app.session.ruler;
  if (x < -0.5 || y < -0.5 || x > view.width - 0.5 || y > view.height - 0.5) return;
  const both = [...measuring, [exact(x), exact(y)]];
  if (both.length > 1 && between(both) < px) return tell(`both ends lie on one spot, expected ${px} px or more between them: click the other end`);
  app.measuring = both;
  app.placed = both.at(-1);
  if (both.length > 1) return ask();
  say(asked());
  app.draw();
}

function ask() {
  $("ruler-wrong").textContent = "";
  $("ruler-dialog").showModal();
  $("ruler-mm").select();
  app.draw();
}

function save(event) {
  event.preventDefault();
  if (app.measuring?.length !== 2) return end(); // another radiograph was opened meanwhile
  const text = $("ruler-mm").value.trim(), ruler = { ends: app.measuring, mm: Number(text) }, [least, most] = app.session.ruler.mm;
  if (!text || !(ruler.mm > 0 && ruler.mm < Infinity)) return wrong(`expected a size above 0 in mm, as 25.4, found ${text || "nothing"}`);
  const beyond = sizeBy(ruler, app.marks.pixel).find((one) => one < least || one > most);
  if (beyond) return wrong(`expected ${least} to ${most} mm per px, found ${+beyond.toPrecision(3)}: correct the size`);
  end();
  if (act("calibrate", [], { ruler })) say(pixelSize(app));
}

function wrong(text) {
  $("ruler-wrong").textContent = text;
  $("ruler-mm").select();
}

export const remove = () => {
  const { marks, session } = app;
  if (!marks.ruler && marks.pixel.from === session.ruler.by && first()) return tell("this calibration is of all_coordinates.csv: calibrate anew, or remove it there");
  if (marks.ruler && first() && act("remove calibration", [], { ruler: null })) say(pixelSize(app));
};

const told = ([x, y]) => (x === y ? "" : `${x.toPrecision(4)} x `) + y.toPrecision(4);

// mm per px (x, y) by a ruler; what else is known of the pixels tells their form: they are square where nothing is
function sizeBy({ ends, mm }, { mm: form }) {
  const [across, down] = form ?? [1, 1], factor = mm / between(ends.map(([x, y]) => [x * across, y * down]));
  return [across * factor, down * factor];
}

// in words: mm per px, and who says so
function pixelSize({ marks: { ruler, pixel }, session }) {
  const own = pixel.mm && `${told(pixel.mm)} mm per px${pixel.mm[0] === pixel.mm[1] ? "" : " (x, y)"}, ${pixel.from}`;
  if (!ruler) return own ?? "pixel size not known";
  return `${told(sizeBy(ruler, pixel))} mm per px, ${session.ruler.by}${own ? `, instead of ${own}` : ""}`;
}

export function drawPanel() {
  const { marks, measuring } = app, fixed = marks.readonly || !first();
  $("pixel-size").textContent = pixelSize(app);
  $("ruler").setAttribute("aria-pressed", !!measuring);
  $("ruler").disabled = fixed;
  $("ruler-remove").disabled = fixed || !(marks.ruler || marks.pixel.from === app.session.ruler.by);
}

$("ruler-form").addEventListener("submit", save);
$("ruler-cancel").addEventListener("click", end);
for (const event of ["cancel", "close"]) // Escape: the first at once but not always, the second when a new measuring may have begun
  $("ruler-dialog").addEventListener(event, () => { if (app.measuring?.length === 2) end(); });
