// Asking the server, and saving: actions wait in an outbox until the server says that they are on the disk.

import { withKey } from "./key.js";

export class Failed extends Error {
  constructor(status, message) { super(message); this.status = status; }
}

async function ask(path, more = {}) {
  const response = await fetch(path, { ...more, headers: withKey(more.headers) });
  if (response.ok) return response;
  let message = response.statusText;
  try { message = (await response.json()).error ?? message; } catch { /* no JSON: the status says enough */ }
  throw new Failed(response.status, message);
}

export async function get(path, query = {}) {
  const text = new URLSearchParams(query).toString();
  return (await ask(`/api/${path}${text ? "?" + text : ""}`)).json();
}

export const picture = async (id) => (await ask("/picture?" + new URLSearchParams({ id }))).arrayBuffer();

// a landmark's guide picture; empty before a radiograph is done
export const guide = async (k) => (await ask(`/guide/${k}`)).blob();

export async function post(path, body, more = {}) {
  const headers = { "Content-Type": "application/json" };
  return (await ask(`/api/${path}`, { method: "POST", headers, body: JSON.stringify(body), ...more })).json();
}

// randomUUID wants a secure context, which a page reached by a machine's name over http is not
export const unique = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");

const PREFIX = "landmarks-outbox-";
const SILENT_MS = 15000; // after which a window that kept an outbox is taken to be gone
const NEVER = 1e9; // the state that an action is based on which can no longer be done

export class Outbox {
  // `told(state, waiting, message)`: saved, waiting or failing; `refused(action, error)`: the server took it for no action
  // set: of which radiographs and reader the actions are; no other server gets them
  constructor(set, window, told, refused) {
    Object.assign(this, { set, window, told, refused, queue: [], sending: false, failing: false, name: `${PREFIX}${set}-${window}` });
    this.adopt();
    setInterval(() => this.adopt(), 4000);
    addEventListener("pagehide", () => this.keep(0)); // whoever comes next takes over at once
  }

  adopt() { // what a window left that is no longer there: the browser was closed while the server was down
    let names = [];
    try { names = Object.keys(localStorage); } catch { return; }
    for (const name of names.filter((n) => n.startsWith(`${PREFIX}${this.set}-`) && n !== this.name)) {
      try {
        const kept = JSON.parse(localStorage.getItem(name));
        const silent = Date.now() - kept.alive; // below 0: the clock was put back
        if (silent >= 0 && silent < SILENT_MS) continue;
        this.queue.push(...kept.queue.map((body) => ({ ...body, window: this.window, late: true })));
        localStorage.removeItem(name);
      } catch { localStorage.removeItem(name); }
    }
    this.keep();
    if (this.queue.length) this.send();
  }

  keep(alive = Date.now()) {
    try {
      if (this.queue.length) localStorage.setItem(this.name, JSON.stringify({ alive, queue: this.queue }));
      else localStorage.removeItem(this.name);
    } catch { /* the browser keeps nothing: the queue lives as long as the window */ }
  }

  add(body) {
    this.queue.push({ ...body, set: this.set, window: this.window, action: unique(), ...(this.failing ? { late: true } : {}) });
    this.keep();
    this.send();
  }

  async send() {
    if (this.sending) return;
    this.sending = true;
    let wait = 200;
    while (this.queue.length) {
      this.told("waiting", this.queue.length);
      const body = this.queue[0];
      try {
        await post("act", body);
        this.queue.shift();
        this.keep();
        wait = 200;
        this.failing = false;
      } catch (error) {
        if (error instanceof Failed && [400, 404, 409, 423].includes(error.status)) {
          this.queue.shift();
          for (const later of this.of(body)) later.base = NEVER; // it stood on this one; the journal keeps it all the same
          this.keep();
          this.refused(body, error);
          continue;
        }
        if (error instanceof Failed && error.status === 422) { // its file is out of reach: other radiographs need not wait for it
          const own = new Set(this.of(body));
          this.queue = [...this.queue.filter((one) => !own.has(one)), ...own];
        }
        this.failing = true;
        for (const each of this.queue) each.late = true; // they may have to pass a window that was opened meanwhile
        const why = error instanceof Failed ? error.message : "the server does not answer";
        this.told("failing", this.queue.length, why);
        await new Promise((go) => setTimeout(go, wait));
        wait = Math.min(wait * 2, 3000);
      }
    }
    this.sending = false;
    this.told("saved", 0);
  }

  get waiting() { return this.queue.length; }

  // what waits of one reading of a radiograph
  of(key) { return this.queue.filter((body) => body.id === key.id && body.reading === key.reading && !body.settle === !key.settle); }
}
