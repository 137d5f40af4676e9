// Which radiograph is on the stage: opening one, the next one, two windows on the same, undo over several.

import { Failed, get, picture, post } from "./api.js";
import { $, app, banner, tell } from "./app.js";
import { choose, takeReader } from "./edit.js";
import { same } from "./marks.js";
import { Raster } from "./raster.js";
import { render } from "./render.js";

const queryOf = (key) => ({ id: key.id, reading: key.reading, ...(key.settle ? { settle: 1, one: key.one, two: key.two } : {}) });
export const place = (key) => ({ set: app.set, id: key.id, reading: key.reading, ...(key.settle ? { settle: true } : {}) });

// bring a reading of a radiograph on the stage; `remember`: it can be gone back to
export async function open(key, { remember = true, take = false } = {}) {
  const serial = (app.serial = (app.serial ?? 0) + 1), before = app.outbox.of(key);
  try {
    const [item, raster, claim] = await Promise.all([
      get("item", queryOf(key)), rasterOf(key.id), post("open", { ...place(key), window: app.window, take }),
    ]);
    if (serial !== app.serial) return false; // another one was asked for meanwhile
    const fresh = app.key?.id !== key.id;
    if (remember && app.key && !same(app.key, key) && !app.key.settle) app.visited.push(app.key);
    app.key = key;
    app.others = item.others;
    if (fresh) {
      app.raster = raster.width ? raster : new Raster(item.picture, raster);
      Object.assign(app.view, { width: item.picture.width, height: item.picture.height });
      app.view.fit();
    }
    if (key.settle) lookAt(item.others.map((other) => other.marks[key.landmark]).filter((mark) => mark.x !== undefined));
    app.marks.open(item, key, [...before, ...app.outbox.of(key).filter((body) => !before.includes(body))]);
    app.selected.clear();
    app.dragging = app.aim = null;
    if (fresh || key.reading || key.settle) app.measuring = null;
    if (fresh) app.cursor = app.placed = null;
    app.active = key.settle ? key.landmark : app.marks.nextOpen(0);
    $("title").textContent = key.id;
    document.title = `${key.id} – landmarks`;
    app.list.mark(key.reading ? null : key.id);
    setReadonly(!claim.mine);
    app.panel.guide(app.active, app.guideVersion);
    render();
    if (item.picture.notes.length) tell(item.picture.notes.join("; "));
    prefetch(key.id);
    return true;
  } catch (error) {
    if (serial !== app.serial) return false;
    if (error instanceof Failed && error.status === 401) banner(`The server was started anew: ${error.message}. What is not saved yet waits here.`, [["Try again", () => open(key, { remember, take })]]);
    else if (!(error instanceof Failed)) away(() => open(key, { remember, take }));
    else banner(`${key.id}: ${error.message}`, [["Next", () => next(key.id)], ["Try again", () => open(key, { remember, take })]]);
    return false;
  }
}

// the server does not answer
function away(retry) {
  app.away = true;
  banner("The server does not answer. Start label.py again and open its new address; what is not saved waits here.", [["Try again", retry]]);
}

// near enough to tell two marks apart
function lookAt(points) {
  const { view } = app;
  if (!points.length) return;
  view.fit();
  view.zoomAt(view.stageWidth / 2, view.stageHeight / 2, 4);
  view.show(...["x", "y"].map((axis) => points.reduce((sum, point) => sum + point[axis], 0) / points.length));
}

// the picture of a radiograph, or the bytes of one that was not prepared
async function rasterOf(id) {
  if (app.key?.id === id && app.raster) return app.raster;
  if (app.ahead?.id === id) return (await app.ahead.raster) ?? picture(id);
  return picture(id);
}

// the picture that comes next is fetched while the reader works
async function prefetch(id) {
  await new Promise((go) => setTimeout(go, 150));
  try {
    const upcoming = await get("next", { after: id, peek: 1 });
    if (!upcoming.id || app.ahead?.id === upcoming.id || app.key.id !== id) return;
    app.ahead = { id: upcoming.id, raster: prepare(upcoming.id) };
  } catch { /* the next one is asked for again when it is wanted */ }
}

async function prepare(id) {
  try {
    const [{ picture: about }, bytes] = await Promise.all([get("item", { id }), picture(id)]);
    const raster = new Raster(about, bytes), fitting = Math.min(app.view.stageWidth / raster.width, app.view.stageHeight / raster.height);
    raster.level(raster.levelFor(fitting * 0.98 * (devicePixelRatio || 1)));
    return raster;
  } catch { return null; }
}

// what opens a radiograph only after asking the server waits its turn: an undo pressed meanwhile is not lost
let waiting = Promise.resolve();
function inTurn(task) {
  const done = waiting.then(task);
  waiting = done.catch(() => {});
  return done;
}

export const next = (after = app.key?.id ?? "") => inTurn(() => toNext(after));

async function toNext(after) {
  await saved();
  let upcoming;
  try { upcoming = await get("next", { after }); } catch (error) {
    if (error instanceof Failed && error.status === 401) throw error;
    return away(() => next(after));
  }
  if (upcoming.id) return open(upcoming);
  if (!app.key) {
    const { rows } = await get("list", { limit: 1 });
    return open({ id: rows[0].id, reading: 0 });
  }
  banner("No other radiograph is left: all are done.", [["Close", () => banner()]]);
  return false;
}

export const previous = () => { const key = app.visited.pop(); if (key) open(key, { remember: false }); };

// what the order of work depends on has reached the server
async function saved() {
  for (let i = 0; i < 40 && app.outbox.waiting; i++) await new Promise((go) => setTimeout(go, 25));
}

export function setReadonly(readonly) {
  const { marks, key } = app;
  marks.readonly = readonly;
  if (readonly) banner("Another window works on this radiograph; this one only looks.", [["Work here instead", () => open(app.key, { take: true, remember: false })]]);
  else if (key.settle) {
    const names = app.others.map((other) => other.reader);
    const said = app.others.map(({ reader, marks: theirs }) => reader + (theirs[key.landmark]?.state === "absent" ? ": absent" : ""));
    banner(`Third look at ${app.marks.names[key.landmark]}: ◆ ${said[0]}, ■ ${said[1]}. Place it, or take one.`,
      [[`Take ${names[0]} (1)`, () => takeReader(0)], [`Take ${names[1]} (2)`, () => takeReader(1)],
        ["Next difference (Page Down)", () => app.compare.next(key)], ["Back to the list (Esc)", () => app.compare.open()]]);
  } else banner();
}

const MISSED = 2; // signs of life without an answer, after which it is said
let missed = 0;

export async function beat() { // tells that this window is still there, and hears whether it may write
  if (!app.key || document.hidden && app.marks.readonly) return;
  try {
    const claim = await post("open", { ...place(app.key), window: app.window });
    missed = 0;
    if (app.away) { app.away = false; setReadonly(app.marks.readonly); }
    if (claim.mine && app.marks.readonly) again(); // the other one has left
    else if (!claim.mine && !app.marks.readonly) setReadonly(true);
    else if (claim.version !== app.marks.version && !app.outbox.waiting && !app.dragging) again();
  } catch (error) {
    if (!(error instanceof Failed) && ++missed === MISSED) away(() => beat());
  }
}

const again = () => inTurn(() => !app.outbox.waiting && !app.dragging && open(app.key, { remember: false }));

export const undoOrRedo = (which) => inTurn(() => step(which)).catch((error) => tell(error.message));

async function step(which) {
  if (app.dragging) return;
  const entry = await app.marks.step(which, (key) => open(key));
  if (!entry) return;
  if (entry.passed) return tell("changed in another window since; left as it is");
  if (entry.changes.length && !app.key.settle) choose(entry.changes[0].landmark, false);
  tell(`${which}: ${entry.what}`);
}

// proposals may have come for what is on the stage: they show where the reader has done nothing
export async function refresh() {
  if (!app.key || app.key.settle || app.dragging || app.outbox.waiting || app.marks.proposal) return;
  try {
    const item = await get("item", queryOf(app.key));
    if (item.id !== app.key.id || item.version !== app.marks.version || app.dragging) return;
    app.marks.proposal = item.proposal;
    app.draw();
  } catch { /* it shows when the radiograph is opened again */ }
}
