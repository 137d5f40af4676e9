// The marks of the radiograph on the stage: what the reader said, over what is proposed; changes, undo and redo.

export const same = (a, b) => JSON.stringify(a ?? null) === JSON.stringify(b ?? null);
const ABOUT = ["second_look", "ruler"]; // what is said of the radiograph as a whole
const KEPT = 2000; // changes kept over a reload of the page; within a page there is no limit

export class Marks {
  // `save(body)` sends an action; `changed()` is called after every change
  constructor(set, names, save, changed) {
    this.kept = `landmarks-history-${set}`;
    Object.assign(this, { names, save, changed, own: [], proposal: null, version: 0, key: null, second_look: false, ruler: null, pixel: {}, readonly: false });
    this.undone = [];
    this.history = [];
    try { this.history = JSON.parse(sessionStorage.getItem(this.kept)) ?? []; } catch { /* none */ }
  }

  // `waiting`: actions that the server may not have yet
  open(item, key, waiting) {
    Object.assign(this, { key, own: item.marks, proposal: item.proposal, version: item.version, second_look: item.second_look, ruler: item.ruler, pixel: item.pixel });
    for (const body of waiting.filter((one) => one.base >= item.version)) {
      if (body.base !== this.version) break; // will be refused
      for (const { landmark, to } of body.changes) this.own[landmark] = to;
      for (const name of ABOUT) if (name in body) this[name] = body[name];
      this.version++;
    }
  }

  // what is shown of landmark k: {state, x, y, unsure, region}; null for nothing
  at(k) {
    const own = this.own[k], proposed = this.proposal?.points[k];
    const region = proposed && proposed[2] !== null ? proposed.slice(2) : null; // semi-axes in px, angle in degrees
    if (own) return own.state === "removed" ? null : { ...own, region: own.state === "proposed" ? region : null };
    if (proposed && proposed[0] !== null) return { state: "proposed", x: proposed[0], y: proposed[1], region };
    return null;
  }

  state(k) { return this.at(k)?.state ?? "open"; }
  placed(k) { return ["confirmed", "proposed"].includes(this.state(k)); }
  decided(k) { return ["confirmed", "absent"].includes(this.state(k)); }

  // the first landmark from `from` on, going round, that is not decided; -1 for none
  nextOpen(from) {
    const count = this.names.length;
    for (let i = 0; i < count; i++) if (!this.decided((from + i) % count)) return (from + i) % count;
    return -1;
  }

  // to: [[landmark, mark or null], ...], as one action; said: values of some of ABOUT
  change(what, to, said = {}) {
    const changes = to.filter(([k, mark]) => !same(this.own[k], mark)).map(([k, mark]) => ({ landmark: k, from: this.own[k] ?? null, to: mark }));
    const about = Object.entries(said).filter(([name, value]) => !same(this[name], value)).map(([name, value]) => ({ name, from: this[name], to: value }));
    if (!changes.length && !about.length) return false;
    const entry = { key: { ...this.key }, what, changes, about };
    this.apply(entry, what);
    this.history.push(entry);
    this.undone = [];
    this.remember();
    return true;
  }

  apply(entry, what) {
    for (const { landmark, to } of entry.changes) this.own[landmark] = to;
    const body = { ...this.key, what, base: this.version, seen: this.proposal?.by ?? null, changes: entry.changes.map(({ landmark, to }) => ({ landmark, to })) };
    for (const { name, to } of entry.about) body[name] = this[name] = to;
    this.version++;
    this.save(body);
    this.changed();
  }

  remember() {
    try { sessionStorage.setItem(this.kept, JSON.stringify(this.history.slice(-KEPT))); } catch { /* full: undo ends with the page */ }
  }

  // undo or redo; `open(key)` brings the radiograph of the change on the stage first
  async step(what, open) {
    const back = what === "undo", [from, to] = back ? [this.history, this.undone] : [this.undone, this.history];
    const entry = from.at(-1);
    if (!entry) return null;
    if (!same(entry.key, this.key) && !(await open(entry.key))) return null;
    if (this.readonly) return null;
    from.pop();
    const about = entry.about ?? []; // the page may have been loaded anew, after the server was
    const looksLike = (mark) => mark && [mark.state, mark.x, mark.y, !!mark.unsure];
    if (entry.changes.some((c) => !same(looksLike(this.own[c.landmark]), looksLike(back ? c.to : c.from))) || about.some((c) => !same(this[c.name], back ? c.to : c.from))) {
      this.remember(); // another window has changed it since, and that stays
      return { ...entry, passed: true };
    }
    const turned = (c) => (back ? { ...c, from: c.to, to: c.from } : c);
    this.apply({ changes: entry.changes.map(turned), about: about.map(turned) }, what);
    to.push(entry);
    this.remember();
    return entry;
  }
}

// whole thousandths of a pixel: finer than anyone can place, and short in the journal
export const exact = (value) => Math.round(value * 1000) / 1000;
export const confirmed = (x, y, unsure) => ({ state: "confirmed", x: exact(x), y: exact(y), ...(unsure ? { unsure: true } : {}) });
export const moved = (mark, dx, dy) => ({ ...confirmed(mark.x + dx, mark.y + dy, mark.unsure), state: mark.state });
