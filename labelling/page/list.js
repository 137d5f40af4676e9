// The list of radiographs with their states; a page of it at a time.

import { get } from "./api.js";
import { $, make } from "./app.js";

const STATES = { none: ["○", "none"], proposed: ["◌", "proposed"], partly: ["◐", "partly"], done: ["●", "done"] };
const FILTERS = { all: "all", none: "none", proposed: "proposed", partly: "partly", done: "done", "second look": "for second look", unsure: "with unsure points" };

export class List {
  constructor(open) {
    this.open = open;
    this.rows = [];
    this.current = null;
    for (const [value, text] of Object.entries(FILTERS)) $("filter").add(new Option(text, value));
    for (const id of ["filter", "sort"]) $(id).addEventListener("change", () => this.load());
    $("search").addEventListener("input", () => { clearTimeout(this.timer); this.timer = setTimeout(() => this.load(), 150); });
    $("more").addEventListener("click", () => this.load(this.rows.length));
  }

  async load(offset = 0) {
    const serial = (this.serial = (this.serial ?? 0) + 1);
    const answer = await get("list", { filter: $("filter").value, search: $("search").value, sort: $("sort").value, offset });
    if (serial !== this.serial) return; // a newer one is on its way
    this.rows = offset ? [...this.rows, ...answer.rows] : answer.rows;
    for (const option of $("filter").options) {
      option.text = `${FILTERS[option.value]} (${answer.counts[option.value]})`;
    }
    $("more").hidden = this.rows.length >= answer.found;
    $("more").textContent = `More (${answer.found - this.rows.length})`;
    this.draw();
  }

  draw() {
    const none = make("li", "no radiograph is like that", { className: "soft" });
    $("rows").replaceChildren(...(this.rows.length ? this.rows.map((row) => this.row(row)) : [none]));
    this.mark(this.current, false);
  }

  row(row) {
    const [sign, word] = STATES[row.state], item = make("li", null, { className: row.state }), button = make("button");
    const parts = [["sign", sign], ["id", row.id], ["note", [row.second_look && "⚑", row.unsure && `${row.unsure}?`, row.doubt !== null && row.state !== "done" && row.doubt.toFixed(1)].filter(Boolean).join(" ")]];
    button.append(...parts.map(([name, text]) => make("span", text, { className: name })));
    button.ariaLabel = `${row.id}: ${word}${row.second_look ? ", for second look" : ""}${row.unsure ? `, ${row.unsure} unsure` : ""}`;
    button.title = row.id + (row.doubt !== null ? row.reviewed ? `, doubt ${row.doubt} (larger: look at it first)` : `, doubt ${row.doubt} px of 256` : "");
    button.dataset.id = row.id;
    button.addEventListener("click", () => this.open({ id: row.id, reading: 0 }));
    item.append(button);
    return item;
  }

  mark(id, scroll = true) {
    this.current = id;
    for (const button of $("rows").querySelectorAll("button")) {
      const here = button.dataset.id === id;
      button.setAttribute("aria-current", here);
      if (here && scroll) button.scrollIntoView({ block: "nearest" });
    }
  }

  // what this page knows of the radiograph on the stage, without asking
  update(id, state, second, unsure) {
    const n = this.rows.findIndex((row) => row.id === id);
    if (n < 0) return;
    const row = this.rows[n];
    if (row.state === state && row.second_look === second && row.unsure === unsure) return;
    Object.assign(row, { state, second_look: second, unsure });
    $("rows").children[n].replaceWith(this.row(row));
    this.mark(this.current, false);
  }
}
