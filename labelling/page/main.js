// The page: what is on the stage, and what every button, key and movement does.

import { Failed, Outbox, get, picture, post, unique } from "./api.js";
import { Compare } from "./compare.js";
import { listen, sheet } from "./keys.js";
import { List } from "./list.js";
import { Marks, confirmed, moved, same } from "./marks.js";
import { Overlay } from "./overlay.js";
import { Panel } from "./panel.js";
import { Pointer } from "./pointer.js";
import { Progress } from "./progress.js";
import { Raster } from "./raster.js";
import { Viewport } from "./viewport.js";

const $ = (id) => document.getElementById(id);
const stage = $("stage"), canvas = $("canvas");
// of the window that suits the radiograph: by how much its width is multiplied and its middle moved, in widths
const PRESETS = { "1 fitted": [1, 0], "2 all values": null, "3 bone": [0.6, 0.22], "4 soft tissue": [0.5, -0.28], "5 flat": [1.7, 0.1] };
const BEAT = 4000; // ms

const app = {
  window: unique(), view: new Viewport(), raster: null, marks: null, active: -1, selected: new Set(), cursor: null, aim: null, box: null,
  showNames: true, showLines: true, crosshair: true, inverted: false, widths: 1, shift: 0, all: false, dragging: null, visited: [], others: [],
  guideVersion: 0, ahead: null, last: 0,
};

// Drawing: once a frame, whatever has changed

let wanted = false;
app.draw = () => {
  if (wanted) return;
  wanted = true;
  requestAnimationFrame(() => { wanted = false; render(); });
};

function render() {
  if (!app.raster) return;
  renderPicture();
  app.overlay.draw(app);
  app.panel.draw(app);
  app.panel.drawLoupe(app);
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

function stored() { // the window in stored values
  const { about, size } = app.raster, [dark, bright] = about.window, width = bright - dark;
  if (app.all) return [0, about.bits === 8 ? 255 : Math.min(size - 1, app.raster.top ??= app.raster.levels[0].data.reduce((a, b) => (a > b ? a : b), 0))];
  const middle = (dark + bright) / 2 + app.shift * width, half = (width * app.widths) / 2;
  return [middle - half, middle + half];
}

function drawHint() {
  const { view, raster, cursor, aim } = app, at = aim ?? (cursor ? view.toImage(...cursor) : null);
  const [dark, bright] = stored().map((value) => raster.about.low + raster.about.step * value);
  const value = at ? raster.at(...at) : undefined;
  const place = at ? `x ${at[0].toFixed(1)}  y ${at[1].toFixed(1)}${value === undefined ? "" : `  value ${+(raster.about.low + raster.about.step * value).toPrecision(5)}`}\n` : "";
  $("hint").textContent = `${place}${raster.width} x ${raster.height} px  zoom ${view.zoom.toFixed(2)}  window ${dark.toPrecision(4)} to ${bright.toPrecision(4)}${view.mirrored ? "  mirrored" : ""}${app.inverted ? "  inverted" : ""}`;
}

function drawButtons() {
  const { marks } = app, press = (id, on) => $(id).setAttribute("aria-pressed", on);
  press("invert", app.inverted); press("mirror", app.view.mirrored); press("names", app.showNames); press("lines", app.showLines); press("second-look", marks.second);
  $("undo").disabled = !marks.history.length;
  $("redo").disabled = !marks.undone.length;
  $("accept-all").disabled = marks.readonly || !marks.names.some((_, k) => marks.state(k) === "proposed");
  $("second-look").disabled = marks.readonly || !!app.key.settle;
  const decided = marks.names.filter((_, k) => marks.decided(k)).length;
  $("item-state").textContent = decided === marks.names.length ? "done" : `${decided} of ${marks.names.length}`;
}

function resize() {
  const { view } = app, ratio = devicePixelRatio || 1, before = [view.stageWidth, view.stageHeight];
  view.stageWidth = stage.clientWidth;
  view.stageHeight = stage.clientHeight;
  canvas.width = Math.round(view.stageWidth * ratio);
  canvas.height = Math.round(view.stageHeight * ratio);
  document.documentElement.style.setProperty("--header", `${document.querySelector("header").offsetHeight}px`);
  if (view.fitted) view.fit();
  else view.pan((view.stageWidth - before[0]) / 2, (view.stageHeight - before[1]) / 2);
  render();
}

const say = (text) => { $("live").textContent = text; };

function banner(text, actions = []) {
  $("banner").hidden = !text;
  $("banner-text").textContent = text ?? "";
  $("banner-actions").replaceChildren(...actions.map(([label, act]) => {
    const button = document.createElement("button");
    button.textContent = label;
    button.addEventListener("click", act);
    return button;
  }));
}

// Radiographs

const queryOf = (key) => ({ id: key.id, reading: key.reading, ...(key.settle ? { settle: 1, one: key.one, two: key.two } : {}) });
const place = (key) => ({ set: app.set, id: key.id, reading: key.reading, ...(key.settle ? { settle: true } : {}) });

// bring a reading of a radiograph on the stage; `remember`: it can be gone back to
async function open(key, { remember = true, take = false } = {}) {
  const serial = (app.serial = (app.serial ?? 0) + 1);
  const begun = performance.now();
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
    app.marks.open(item, key);
    app.selected.clear();
    app.dragging = app.aim = null;
    if (fresh) app.cursor = null;
    app.active = key.settle ? key.landmark : app.marks.nextOpen(0);
    $("title").textContent = key.id;
    document.title = `${key.id} – landmarks`;
    app.list.mark(key.reading ? null : key.id);
    setReadonly(!claim.mine);
    app.panel.guide(app.active, app.guideVersion);
    render();
    app.shown = performance.now() - begun;
    if (item.picture.notes.length) say(item.picture.notes.join("; "));
    prefetch(key.id);
    return true;
  } catch (error) {
    if (serial !== app.serial) return false;
    if (error instanceof Failed && error.status === 401) banner(`The server was started anew: ${error.message}. What is not saved yet waits here.`, [["Try again", () => open(key, { remember, take })]]);
    else banner(`${key.id}: ${error.message}`, [["Next", () => next()], ["Try again", () => open(key, { remember, take })]]);
    return false;
  }
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
    const upcoming = await get("next", { after: id });
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

async function next() {
  await saved();
  const upcoming = await get("next", { after: app.key?.id ?? "" });
  if (upcoming.id) return open(upcoming);
  if (!app.key) {
    const { rows } = await get("list", { limit: 1 });
    return open({ id: rows[0].id, reading: 0 });
  }
  banner("No other radiograph is left: all are done.", [["Close", () => banner()]]);
  return false;
}

const previous = () => { const key = app.visited.pop(); if (key) open(key, { remember: false }); };

// what the order of work depends on has reached the server
async function saved() {
  for (let i = 0; i < 40 && app.outbox.waiting; i++) await new Promise((go) => setTimeout(go, 25));
}

function setReadonly(readonly) {
  const { marks, key } = app;
  marks.readonly = readonly;
  if (readonly) banner("Another window works on this radiograph; this one only looks.", [["Work here instead", () => open(app.key, { take: true, remember: false })]]);
  else if (key.settle) {
    const names = app.others.map((other) => other.reader);
    banner(`Third look at ${app.marks.names[key.landmark]}: ◆ ${names[0]}, ■ ${names[1]}. Place it, or take one.`,
      [[`Take ${names[0]} (1)`, () => takeReader(0)], [`Take ${names[1]} (2)`, () => takeReader(1)], ["Back to the list (Esc)", () => compare.open()]]);
  } else banner();
}

async function beat() { // tells that this window is still there, and hears whether it may write
  if (!app.key || document.hidden && app.marks.readonly) return;
  try {
    const claim = await post("open", { ...place(app.key), window: app.window });
    if (claim.mine && app.marks.readonly) open(app.key, { remember: false }); // the other one has left
    else if (!claim.mine && !app.marks.readonly) setReadonly(true);
    else if (claim.version !== app.marks.version && !app.outbox.waiting && !app.dragging) open(app.key, { remember: false });
  } catch { /* the outbox says when the server is away */ }
}

// Marks

function act(what, changes, second) {
  if (app.marks.readonly) { say("another window works on this radiograph"); return false; }
  return app.marks.change(what, changes, second);
}

const unsureOf = (k) => !!app.marks.own[k]?.unsure;

app.place = (x, y) => {
  const { marks, view, active } = app;
  if (active < 0 || (marks.state(active) === "confirmed" && !app.key.settle)) return;
  if (x < -0.5 || y < -0.5 || x > view.width - 0.5 || y > view.height - 0.5) return;
  if (act("place", [[active, confirmed(x, y, unsureOf(active))]])) {
    say(`${marks.names[active]} placed at ${x.toFixed(1)}, ${y.toFixed(1)}`);
    advance();
  }
};

function advance() {
  if (app.key.settle) return;
  choose(app.marks.nextOpen(app.active + 1), false);
}

function choose(k, show = true, keep = false) {
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

app.toggle = (k) => {
  if (!app.selected.delete(k)) app.selected.add(k);
  app.draw();
};

app.grab = (k) => {
  if (!app.selected.has(k)) app.selected.clear();
  if (!app.key.settle) { app.active = k; app.panel.guide(k, app.guideVersion); }
  else if (k !== app.active) return;
  app.dragging = { own: [...app.marks.own], group: app.selected.size ? [...app.selected] : [k], changes: [] };
};

// the chosen points moved by (dx, dy) px of the radiograph, all inside it; proposals moved alone are accepted by that
function shifted(group, dx, dy, before) {
  const { marks, view } = app, at = group.map((k) => [k, before ? before(k) : marks.at(k)]).filter(([, mark]) => mark?.x !== undefined);
  const room = (low, high, value) => Math.min(Math.max(value, low), high);
  dx = room(-0.5 - Math.min(...at.map(([, m]) => m.x)), view.width - 0.5 - Math.max(...at.map(([, m]) => m.x)), dx);
  dy = room(-0.5 - Math.min(...at.map(([, m]) => m.y)), view.height - 0.5 - Math.max(...at.map(([, m]) => m.y)), dy);
  return at.map(([k, mark]) => [k, at.length === 1 ? confirmed(mark.x + dx, mark.y + dy, mark.unsure) : moved(mark, dx, dy)]);
}

app.drag = (dx, dy) => {
  const { dragging, marks } = app;
  if (!dragging || marks.readonly) return;
  const shown = (k) => { const now = marks.own; marks.own = dragging.own; const mark = marks.at(k); marks.own = now; return mark; };
  dragging.changes = shifted(dragging.group, dx, dy, shown);
  marks.own = [...dragging.own];
  for (const [k, mark] of dragging.changes) marks.own[k] = mark;
  app.draw();
};

app.drop = (kept) => {
  const { dragging, marks } = app;
  app.dragging = null;
  if (!dragging) return;
  marks.own = dragging.own;
  if (kept && dragging.changes.length) act(dragging.changes.length > 1 ? "move group" : "move", dragging.changes);
  app.draw();
};

app.selectBox = (box) => {
  if (!box) return;
  const [left, right] = [box[0], box[2]].sort((a, b) => a - b), [top, bottom] = [box[1], box[3]].sort((a, b) => a - b);
  app.marks.names.forEach((_, k) => {
    const mark = app.marks.at(k);
    if (mark?.x === undefined) return;
    const [u, v] = app.view.toStage(mark.x, mark.y);
    if (u >= left && u <= right && v >= top && v <= bottom) app.selected.add(k);
  });
};

app.dragWindow = (dx, dy) => {
  app.all = false;
  app.widths = Math.min(Math.max(app.widths * Math.exp(-dx / 200), 0.01), 20);
  app.shift = Math.min(Math.max(app.shift + dy / 300 * Math.max(app.widths, 0.2), -2), 2);
};

function accept(k) {
  const mark = app.marks.at(k);
  if (mark?.state !== "proposed") return;
  if (act("accept", [[k, confirmed(mark.x, mark.y, mark.unsure)]])) { say(`${app.marks.names[k]} accepted`); advance(); }
}

function acceptAll() {
  const { marks } = app;
  const proposed = marks.names.map((_, k) => [k, marks.at(k)]).filter(([, mark]) => mark?.state === "proposed");
  if (proposed.length && act("accept all", proposed.map(([k, m]) => [k, confirmed(m.x, m.y, m.unsure)]))) {
    say(`${proposed.length} points accepted`);
    advance();
  }
}

function absent() {
  const k = app.active;
  if (k < 0) return;
  if (app.marks.own[k]?.state === "absent") return act("absent", [[k, null]]);
  if (act("absent", [[k, { state: "absent", ...(unsureOf(k) ? { unsure: true } : {}) }]])) { say(`${app.marks.names[k]} absent`); advance(); }
}

function unsure() {
  const own = app.active >= 0 ? app.marks.own[app.active] : null;
  if (!own || !["confirmed", "absent"].includes(own.state)) return;
  const { unsure: was, ...rest } = own;
  act("unsure", [[app.active, was ? rest : { ...rest, unsure: true }]]);
}

function remove() {
  const group = app.selected.size ? [...app.selected] : [app.active];
  act("remove", group.filter((k) => k >= 0 && app.marks.at(k)).map((k) => [k, { state: "removed" }]));
}

function takeReader(n) {
  const mark = app.others[n]?.marks[app.active];
  if (!mark) return;
  act("settle", [[app.active, mark.state === "absent" ? { state: "absent" } : confirmed(mark.x, mark.y, false)]]);
}

let stepping = Promise.resolve(); // one after the other: each may have to open another radiograph first

function undoOrRedo(which) { return (stepping = stepping.then(() => step(which)).catch((error) => say(error.message))); }

async function step(which) {
  const entry = await app.marks[which]((key) => open(key));
  if (!entry) return;
  if (entry.passed) return say("changed in another window since; left as it is");
  if (entry.changes.length && !app.key.settle) choose(entry.changes[0].landmark, false);
  say(`${which}: ${entry.what}`);
}

// Keys and buttons

const setPreset = (name) => {
  const [widths, shift] = PRESETS[name] ?? [1, 0];
  Object.assign(app, { widths, shift, all: PRESETS[name] === null });
  $("preset").value = name;
  app.draw();
};

const flip = (name) => () => { app[name] = !app[name]; app.draw(); };
const zoom = (factor) => () => { const [u, v] = app.cursor ?? [app.view.stageWidth / 2, app.view.stageHeight / 2]; app.view.zoomAt(u, v, factor); app.draw(); };

const actions = {
  acceptAll, remove, absent, unsure, previous,
  next: () => next(),
  enter: () => {
    if (app.aim && app.active >= 0) { const at = app.aim; app.aim = null; return app.place(...at); }
    accept(app.active);
  },
  nextLandmark: () => choose(app.active < 0 ? 0 : (app.active + 1) % app.marks.names.length, true, true),
  previousLandmark: () => choose(app.active < 0 ? app.last : (app.active + app.marks.names.length - 1) % app.marks.names.length, true, true),
  select: () => {
    if (app.active < 0 || !app.marks.placed(app.active)) return;
    app.toggle(app.active);
    say(`${app.marks.names[app.active]} ${app.selected.has(app.active) ? "chosen" : "not chosen"}, ${app.selected.size} in all`);
  },
  selectAll: () => { app.marks.names.forEach((_, k) => { if (app.marks.at(k)?.x !== undefined) app.selected.add(k); }); app.draw(); },
  escape: () => {
    if (app.selected.size || app.aim) { app.selected.clear(); app.aim = null; app.draw(); } else if (app.key?.settle) compare.open();
  },
  undo: () => undoOrRedo("undo"),
  redo: () => undoOrRedo("redo"),
  secondLook: () => { if (!app.key.settle && act(app.marks.second ? "no second look" : "second look", [], !app.marks.second)) say(app.marks.second ? "for a second look" : "no second look"); },
  list: () => { setList(true); ($("rows").querySelector('[aria-current="true"]') ?? $("search")).focus(); },
  progress: () => progress.open(),
  compare: () => compare.open(),
  takeOver: () => { if (app.marks.readonly) open(app.key, { take: true, remember: false }); },
  nearer: zoom(1.25), farther: zoom(0.8),
  fit: () => { app.view.fit(); app.draw(); },
  preset: (event) => {
    const n = Number(event.key) - 1;
    if (app.key.settle && n < 2) return takeReader(n);
    setPreset(Object.keys(PRESETS)[n]);
  },
  bright: (event) => { app.dragWindow(0, event.shiftKey ? -15 : 15); app.draw(); },
  contrast: (event) => { app.dragWindow(event.shiftKey ? -20 : 20, 0); app.draw(); },
  invert: flip("inverted"), names: flip("showNames"), lines: flip("showLines"), crosshair: flip("crosshair"),
  mirror: () => { app.view.mirror(); app.draw(); },
  keys: () => { $("keys-dialog").showModal(); $("keys-dialog").scrollTop = 0; },
};

function arrows(dx, dy, event) {
  const { view, marks, active } = app;
  if (event.ctrlKey || event.metaKey) { view.pan(-dx * 60, -dy * 60); return app.draw(); }
  const step = event.shiftKey ? 10 : event.altKey ? 0.1 : 1;
  const [x, y] = [dx * step * (view.mirrored ? -1 : 1), dy * step];
  const group = app.selected.size ? [...app.selected] : active >= 0 && marks.placed(active) && !app.aim ? [active] : [];
  if (group.length) return void act(group.length > 1 ? "move group" : "nudge", shifted(group, x, y));
  if (active < 0) return;
  const from = app.aim ?? (app.cursor ? view.toImage(...app.cursor) : view.toImage(view.stageWidth / 2, view.stageHeight / 2));
  const reach = event.altKey ? 1 : Math.max(1, 1 / view.zoom); // a pixel of the screen at least
  app.aim = [Math.min(Math.max(from[0] + x * reach, 0), view.width - 1), Math.min(Math.max(from[1] + y * reach, 0), view.height - 1)];
  app.cursor = null;
  view.show(...app.aim);
  app.draw();
}

function setList(shown) {
  $("list-panel").hidden = !shown;
  $("list-toggle").setAttribute("aria-expanded", shown);
  resize();
}

// Start

let progress, compare;

async function start() {
  const session = await get("session");
  app.set = session.name;
  app.overlay = new Overlay($("overlay"), session.names, session.skeleton);
  app.panel = new Panel(session, (k) => { choose(k); stage.focus(); });
  app.outbox = new Outbox(session.name, app.window, told, refused, () => {});
  app.marks = new Marks(session.name, session.names, (body) => app.outbox.add(body), changed);
  app.list = new List((key) => { open(key); stage.focus(); });
  sheet($("keys-body"));
  for (const name of Object.keys(PRESETS)) $("preset").add(new Option(name, name));
  $("preset").addEventListener("change", () => setPreset($("preset").value));
  const buttons = { next: "next", previous: "previous", undo: "undo", redo: "redo", "accept-all": "acceptAll", "second-look": "secondLook", invert: "invert", mirror: "mirror",
    names: "names", lines: "lines", fit: "fit", absent: "absent", unsure: "unsure", remove: "remove", "keys-button": "keys" };
  for (const [id, action] of Object.entries(buttons)) $(id).addEventListener("click", (event) => actions[action](event));
  $("accept").addEventListener("click", () => accept(app.active));
  $("list-toggle").addEventListener("click", () => setList($("list-panel").hidden));
  $("list-panel").hidden = innerWidth <= 900;
  $("list-toggle").setAttribute("aria-expanded", innerWidth > 900);
  app.pointer = new Pointer(stage, app);
  listen(actions, arrows);
  progress = new Progress(session, () => { app.list.load(); refresh(); });
  compare = new Compare(session, (row, one, two) => open({ id: row.id, reading: 0, settle: true, one, two, landmark: row.landmark }));
  new ResizeObserver(resize).observe(stage);
  resize();
  addEventListener("beforeunload", (event) => { if (app.outbox.waiting) event.preventDefault(); });
  addEventListener("pagehide", () => { post("leave", { window: app.window }, { keepalive: true }).catch(() => {}); });
  setInterval(beat, BEAT);
  app.list.load();
  await next();
  stage.focus();
  document.body.dataset.ready = "yes";
}

function told(state, waiting, why) {
  $("saved").className = state;
  $("saved").textContent = state === "saved" ? "saved" : state === "waiting" ? "saving" : `${waiting} not saved: ${why}`;
}

async function refused(body, error) { // the journal has it, the marks do not
  if (app.key && body.id === app.key.id) await open(app.key, { remember: false });
  banner(`${body.id}: ${body.what} was not taken over, ${error.message}. The journal has it.`, [["Close", () => setReadonly(app.marks.readonly)]]);
}

function changed() {
  const { marks, key } = app;
  if (!key.reading && !key.settle) {
    const decided = marks.names.filter((_, k) => marks.decided(k)).length, shown = marks.names.some((_, k) => marks.state(k) === "proposed");
    const removed = marks.own.some((mark) => mark?.state === "removed");
    const state = decided === marks.names.length ? "done" : decided || removed ? "partly" : shown ? "proposed" : "none";
    const finished = state === "done" && app.list.rows.find((row) => row.id === key.id)?.state !== "done";
    app.list.update(key.id, state, marks.second, marks.own.filter((mark) => mark?.unsure).length);
    if (finished) setTimeout(() => { app.guideVersion++; progress.load(); }, 600);
  }
  app.draw();
}

// proposals may have come for what is on the stage: they show where the reader has done nothing
async function refresh() {
  if (!app.key || app.key.settle || app.dragging || app.outbox.waiting || app.marks.proposal) return;
  try {
    const item = await get("item", queryOf(app.key));
    if (item.id !== app.key.id || item.version !== app.marks.version || app.dragging) return;
    app.marks.proposal = item.proposal;
    app.draw();
  } catch { /* it shows when the radiograph is opened again */ }
}

window.landmarks = app; // for whoever looks into the page's state from its console
start().catch((error) => banner(error.status === 401 ? `The server does not know this window: ${error.message}.` : `This page could not start: ${error.message}`));
