// What the reader does to marks: place, drag, accept, delete, absent, unsure, by mouse and by arrow keys.

import { app, say, tell } from "./app.js";
import { confirmed, moved } from "./marks.js";

export function act(what, changes, said) {
  if (app.dragging) return false;
  if (app.marks.readonly) { tell("another window works on this radiograph"); return false; }
  return app.marks.change(what, changes, said);
}

const unsureOf = (k) => !!app.marks.own[k]?.unsure;

// the landmark at work, or where that is confirmed the next one that is not
export const place = (x, y) => {
  const { marks, view } = app, { active } = app;
  const k = app.key.settle || (active >= 0 && marks.state(active) !== "confirmed") ? active : marks.nextOpen(active + 1);
  if (k < 0) return tell("all landmarks are decided: drag a point to move it");
  if (x < -0.5 || y < -0.5 || x > view.width - 0.5 || y > view.height - 0.5) return;
  if (act("place", [[k, confirmed(x, y, unsureOf(k))]])) {
    say(`${marks.names[k]} placed at ${x.toFixed(1)}, ${y.toFixed(1)}`);
    app.placed = [x, y];
    app.active = k;
    advance();
  }
};

function advance() {
  if (app.key.settle) return;
  choose(app.marks.nextOpen(app.active + 1), false);
}

const nothingHere = () => tell("nothing is placed here yet; P goes back to the point before");

export function choose(k, show = true, keep = false) {
  if (app.key.settle && k !== app.active) return tell("a third look is at one landmark; Page Down goes on to the next difference");
  if (app.active >= 0) app.last = app.active;
  app.active = k;
  if (!keep) app.selected.clear();
  app.aim = null;
  const mark = k >= 0 ? app.marks.at(k) : null;
  if (mark?.x !== undefined && (show || app.view.zoom > 1.5)) app.view.show(mark.x, mark.y);
  app.panel.guide(k, app.guideVersion);
  if (k >= 0) say(`next: ${app.marks.names[k]}, ${app.marks.state(k)}`);
  app.draw();
}

export const toggle = (k) => {
  if (!app.selected.delete(k)) app.selected.add(k);
  app.draw();
};

export const grab = (k) => {
  if (!app.selected.has(k)) app.selected.clear();
  if (!app.key.settle) { app.active = k; app.panel.guide(k, app.guideVersion); }
  else if (k !== app.active) return;
  app.dragging = { own: [...app.marks.own], group: app.selected.size ? [...app.selected] : [k], changes: [] };
};

// the chosen points moved by (dx, dy) px of the radiograph, all inside it; proposals moved alone are accepted by that
function shifted(group, dx, dy) {
  const { marks, view } = app, at = group.map((k) => [k, marks.at(k)]).filter(([, mark]) => mark?.x !== undefined);
  const room = (low, high, value) => Math.min(Math.max(value, low), high);
  dx = room(-0.5 - Math.min(...at.map(([, m]) => m.x)), view.width - 0.5 - Math.max(...at.map(([, m]) => m.x)), dx);
  dy = room(-0.5 - Math.min(...at.map(([, m]) => m.y)), view.height - 0.5 - Math.max(...at.map(([, m]) => m.y)), dy);
  return at.map(([k, mark]) => [k, at.length === 1 ? confirmed(mark.x + dx, mark.y + dy, mark.unsure) : moved(mark, dx, dy)]);
}

export const drag = (dx, dy) => {
  const { dragging, marks } = app;
  if (!dragging || marks.readonly) return;
  for (const k of dragging.group) marks.own[k] = dragging.own[k];
  dragging.changes = shifted(dragging.group, dx, dy);
  for (const [k, mark] of dragging.changes) marks.own[k] = mark;
  app.draw();
};

export const drop = (kept) => {
  const { dragging, marks } = app;
  app.dragging = null;
  if (!dragging) return;
  for (const k of dragging.group) marks.own[k] = dragging.own[k];
  if (kept && dragging.changes.length) act(dragging.changes.length > 1 ? "move group" : "move", dragging.changes);
  app.draw();
};

export const selectBox = (box) => {
  if (!box) return;
  const [left, right] = [box[0], box[2]].sort((a, b) => a - b), [top, bottom] = [box[1], box[3]].sort((a, b) => a - b);
  app.marks.names.forEach((_, k) => {
    const mark = app.marks.at(k);
    if (mark?.x === undefined) return;
    const [u, v] = app.view.toStage(mark.x, mark.y);
    if (u >= left && u <= right && v >= top && v <= bottom) app.selected.add(k);
  });
};

export function accept(k) {
  const mark = app.marks.at(k);
  if (mark?.state !== "proposed") return;
  if (act("accept", [[k, confirmed(mark.x, mark.y, mark.unsure)]])) { say(`${app.marks.names[k]} accepted`); advance(); }
}

export function acceptAll() {
  const { marks } = app;
  const proposed = marks.names.map((_, k) => [k, marks.at(k)]).filter(([, mark]) => mark?.state === "proposed");
  if (proposed.length && act("accept all", proposed.map(([k, m]) => [k, confirmed(m.x, m.y, m.unsure)]))) {
    say(`${proposed.length} points accepted`);
    advance();
  }
}

export function absent() {
  const k = app.active;
  if (k < 0) return;
  if (app.marks.own[k]?.state === "absent") return act("absent", [[k, null]]);
  if (act("absent", [[k, { state: "absent", ...(unsureOf(k) ? { unsure: true } : {}) }]])) { say(`${app.marks.names[k]} absent`); advance(); }
}

export function unsure() {
  const own = app.active >= 0 ? app.marks.own[app.active] : null;
  if (!own || !["confirmed", "absent"].includes(own.state)) return nothingHere();
  const { unsure: was, ...rest } = own;
  act("unsure", [[app.active, was ? rest : { ...rest, unsure: true }]]);
}

export function remove() {
  const group = app.selected.size ? [...app.selected] : [app.active];
  const there = group.filter((k) => k >= 0 && app.marks.at(k));
  if (!there.length) return nothingHere();
  act("remove", there.map((k) => [k, { state: "removed" }]));
}

export function takeReader(n) {
  const mark = app.others[n]?.marks[app.active];
  if (!mark) return;
  act("settle", [[app.active, mark.state === "absent" ? { state: "absent" } : confirmed(mark.x, mark.y, false)]]);
}

export function arrows(dx, dy, event) {
  const { view, marks, active } = app;
  if (event.ctrlKey || event.metaKey) { view.pan(-dx * 60, -dy * 60); return app.draw(); }
  const step = event.shiftKey ? 10 : event.altKey ? 0.1 : 1;
  const [x, y] = [dx * step * (view.mirrored ? -1 : 1), dy * step];
  const group = app.measuring ? [] : app.selected.size ? [...app.selected] : active >= 0 && marks.placed(active) && !app.aim ? [active] : [];
  if (group.length) return void act(group.length > 1 ? "move group" : "nudge", shifted(group, x, y));
  if (active < 0 && !app.measuring) return;
  const middle = () => view.toImage(view.stageWidth / 2, view.stageHeight / 2);
  const from = app.aim ?? (app.cursor ? view.toImage(...app.cursor) : app.placed ?? middle());
  const reach = event.altKey ? 1 : Math.max(1, 1 / view.zoom); // a pixel of the screen at least
  app.aim = [Math.min(Math.max(from[0] + x * reach, 0), view.width - 1), Math.min(Math.max(from[1] + y * reach, 0), view.height - 1)];
  app.cursor = null;
  view.show(...app.aim);
  app.draw();
}
