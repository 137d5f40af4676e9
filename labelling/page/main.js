// The page: what every button and key does, and the start.

import { Outbox, get, post } from "./api.js";
import { $, app, banner, say, tell } from "./app.js";
import { Compare } from "./compare.js";
import * as edit from "./edit.js";
import { PRESETS, dragWindow, setPreset } from "./greys.js";
import { beat, next, open, previous, refresh, setReadonly, undoOrRedo } from "./items.js";
import { findKey } from "./key.js";
import { listen, sheet } from "./keys.js";
import { List } from "./list.js";
import { Marks } from "./marks.js";
import { Overlay } from "./overlay.js";
import { Panel } from "./panel.js";
import { Pointer } from "./pointer.js";
import { Progress } from "./progress.js";
import { resize } from "./render.js";
import * as ruler from "./ruler.js";

const stage = $("stage");
const BEAT = 4000; // ms between two signs of life
const NARROW = 900; // px of the window, up to which the list lies over the radiograph

const flip = (name) => () => { app[name] = !app[name]; app.draw(); };
const zoom = (factor) => () => { const [u, v] = app.cursor ?? [app.view.stageWidth / 2, app.view.stageHeight / 2]; app.view.zoomAt(u, v, factor); app.draw(); };

const actions = {
  previous, next: () => (app.key?.settle ? app.compare.next(app.key) : next()), remove: edit.remove, absent: edit.absent, unsure: edit.unsure, acceptAll: edit.acceptAll,
  enter: () => {
    const at = app.aim;
    app.aim = null;
    if (app.measuring) return at ? ruler.click(...at) : tell("arrows move the crosshair to the end");
    if (at && app.active >= 0) return edit.place(...at);
    edit.accept(app.active);
  },
  nextLandmark: () => edit.choose(app.active < 0 ? 0 : (app.active + 1) % app.marks.names.length, true, true),
  previousLandmark: () => edit.choose(app.active < 0 ? app.last : (app.active + app.marks.names.length - 1) % app.marks.names.length, true, true),
  select: () => {
    if (app.active < 0 || !app.marks.placed(app.active)) return;
    edit.toggle(app.active);
    say(`${app.marks.names[app.active]} ${app.selected.has(app.active) ? "chosen" : "not chosen"}, ${app.selected.size} in all`);
  },
  selectAll: () => { app.marks.names.forEach((_, k) => { if (app.marks.at(k)?.x !== undefined) app.selected.add(k); }); app.draw(); },
  escape: () => {
    if (app.measuring) ruler.end();
    else if (isNarrow() && !$("list-panel").hidden) setList(false);
    else if (app.selected.size || app.aim) { app.selected.clear(); app.aim = null; app.draw(); } else if (app.key?.settle) app.compare.open();
  },
  undo: () => undoOrRedo("undo"),
  redo: () => undoOrRedo("redo"),
  secondLook: () => {
    if (!ruler.first()) return tell("the mark for a second look belongs to the first reading");
    if (edit.act(app.marks.second_look ? "no second look" : "second look", [], { second_look: !app.marks.second_look })) say(app.marks.second_look ? "for a second look" : "no second look");
  },
  ruler: (event) => { if (event.shiftKey && event.key) ruler.remove(); else ruler.begin(); },
  removeRuler: ruler.remove,
  list: () => { setList(true); ($("rows").querySelector('[aria-current="true"]') ?? $("search")).focus(); },
  progress: () => app.progress.open(),
  compare: () => app.compare.open(),
  takeOver: () => { if (app.marks.readonly) open(app.key, { take: true, remember: false }); },
  nearer: zoom(1.25), farther: zoom(0.8),
  fit: () => { app.view.fit(); app.draw(); },
  preset: (event) => {
    const n = Number(event.key) - 1;
    if (app.key.settle && n < 2) return edit.takeReader(n);
    setPreset(Object.keys(PRESETS)[n]);
  },
  bright: (event) => { dragWindow(0, event.shiftKey ? -15 : 15); app.draw(); },
  contrast: (event) => { dragWindow(event.shiftKey ? -20 : 20, 0); app.draw(); },
  invert: flip("inverted"), names: flip("showNames"), lines: flip("showLines"), crosshair: flip("crosshair"),
  mirror: () => { app.view.mirror(); app.draw(); },
  keys: () => { $("keys-dialog").showModal(); $("keys-dialog").scrollTop = 0; },
};

const isNarrow = () => innerWidth <= NARROW;

function setList(shown) {
  $("list-panel").hidden = !shown;
  $("list-toggle").setAttribute("aria-expanded", shown);
  resize();
}

async function start() {
  await findKey();
  const session = await get("session");
  app.set = session.name;
  app.session = session;
  app.overlay = new Overlay($("overlay"), session.names, session.skeleton);
  app.panel = new Panel(session, (k) => { edit.choose(k); stage.focus(); });
  app.outbox = new Outbox(session.name, app.window, told, refused);
  app.marks = new Marks(session.name, session.names, (body) => app.outbox.add(body), changed);
  app.list = new List((key) => { open(key); if (isNarrow()) setList(false); stage.focus(); });
  sheet($("keys-body"));
  for (const name of Object.keys(PRESETS)) $("preset").add(new Option(name, name));
  $("preset").addEventListener("change", () => setPreset($("preset").value));
  const buttons = { next: "next", previous: "previous", undo: "undo", redo: "redo", "accept-all": "acceptAll", "second-look": "secondLook", invert: "invert", mirror: "mirror",
    names: "names", lines: "lines", fit: "fit", absent: "absent", unsure: "unsure", remove: "remove", "keys-button": "keys", ruler: "ruler", "ruler-remove": "removeRuler" };
  for (const [id, action] of Object.entries(buttons)) $(id).addEventListener("click", (event) => {
    actions[action](event);
    if (event.detail) stage.focus(); // by mouse: the next key is the radiograph's again
  });
  $("accept").addEventListener("click", (event) => { edit.accept(app.active); if (event.detail) stage.focus(); });
  $("list-toggle").addEventListener("click", () => setList($("list-panel").hidden));
  setList(!isNarrow());
  app.pointer = new Pointer(stage, app);
  listen(actions, edit.arrows);
  app.progress = new Progress(session, () => { app.list.load(); refresh(); });
  app.compare = new Compare(session, (row, one, two) => open({ id: row.id, reading: 0, settle: true, one, two, landmark: row.landmark }));
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
  const kept = [409, 423].includes(error.status) ? " The journal has it." : "";
  banner(`${body.id}: ${body.what} was not taken over, ${error.message}.${kept}`, [["Close", () => setReadonly(app.marks.readonly)]]);
}

function changed() {
  const { marks, key } = app;
  if (!key.reading && !key.settle) {
    const decided = marks.names.filter((_, k) => marks.decided(k)).length, shown = marks.names.some((_, k) => marks.state(k) === "proposed");
    const removed = marks.own.some((mark) => mark?.state === "removed");
    const state = decided === marks.names.length ? "done" : decided || removed ? "partly" : shown ? "proposed" : "none";
    const finished = state === "done" && app.list.rows.find((row) => row.id === key.id)?.state !== "done";
    app.list.update(key.id, state, marks.second_look, marks.own.filter((mark) => mark?.unsure).length);
    if (finished) setTimeout(() => { app.guideVersion++; app.progress.load(); }, 600);
  }
  app.draw();
}

window.landmarks = app; // for whoever looks into the page's state from its console
start().catch((error) => banner(error.status === 401 ? `The server does not know this window: ${error.message}.` : `This page could not start: ${error.message}`));
