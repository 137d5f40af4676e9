// Where two readers differ, worst first; a row opens the radiograph for the third look that settles it.

import { Failed, get } from "./api.js";
import { tell } from "./app.js";
import { make, table } from "./progress.js";

const $ = (id) => document.getElementById(id);

export class Compare {
  // settle(row, one, two): open the third look
  constructor(session, settle) {
    Object.assign(this, { session, settle });
    $("compare-button").addEventListener("click", () => this.open());
    for (const id of ["one", "two"]) $(id).addEventListener("change", () => this.load());
  }

  async open() {
    let readers;
    try { ({ readers } = await get("session")); } catch (error) { return tell(error instanceof Failed ? error.message : "the server does not answer"); }
    for (const [n, id] of ["one", "two"].entries()) {
      const before = $(id).value;
      $(id).replaceChildren(...readers.map((name) => new Option(name, name)));
      $(id).value = readers.includes(before) ? before : readers[Math.min(n, readers.length - 1)];
    }
    if (!$("compare-dialog").open) $("compare-dialog").showModal();
    await this.load();
  }

  async load(offset = 0) {
    const one = $("one").value, two = $("two").value;
    if (one === two) {
      const why = this.session.readers.length < 2 ? "There is one reader so far. A second one starts with: python label.py --raw ... --reader NAME" : "Choose two readers.";
      return $("compare-body").replaceChildren(make("p", why));
    }
    let answer;
    try { answer = await get("compare", { one, two, offset }); } catch (error) {
      if (error instanceof Failed) $("compare-body").replaceChildren(make("p", error.message));
      return;
    }
    if (!answer.found) return $("compare-body").replaceChildren(make("p", "No radiograph is done by both yet."));
    Object.assign(this, { differences: answer.rows, after: offset + answer.rows.length, found: answer.found });
    const { median, radiographs } = answer, length = (value, digits = 2) => (value === null ? "–" : value.toFixed(digits));
    const rows = answer.rows.map((row) => {
      const button = make("button", `${row.id}, ${this.session.names[row.landmark]}`);
      button.addEventListener("click", () => { $("compare-dialog").close(); this.settle(row, one, two); });
      return [button, row.absent ? "absent for one" : length(row.px, 1), length(row.frame_px), length(row.mm), row.settled ? "settled" : ""];
    });
    const body = [
      make("p", `${radiographs} radiographs done by both, ${answer.found} landmarks; median difference ${length(median.px, 1)} px, ${length(median.frame_px)} px of the 256 frame, ${length(median.mm)} mm. Worst first; a click opens the third look.`),
      table(["landmark", "px", "px of 256", "mm", ""], rows),
    ];
    if (this.after < this.found) {
      const more = make("button", "Next page");
      more.addEventListener("click", () => this.load(this.after));
      body.push(make("p"), more);
    }
    $("compare-body").replaceChildren(...body);
  }

  // the third look at the next difference that is not settled
  async next(key) {
    let at = 1 + this.differences.findIndex((row) => row.id === key.id && row.landmark === key.landmark);
    for (;;) {
      const row = this.differences.slice(at).find((one) => !one.settled);
      if (row) return this.settle(row, key.one, key.two);
      if (this.after >= this.found) return tell("no other difference is left to settle");
      const before = this.after;
      await this.load(before);
      if (this.after === before) return; // the server does not answer
      at = 0;
    }
  }
}
