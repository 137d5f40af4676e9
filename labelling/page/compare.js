// Where two readers differ, worst first; a row opens the radiograph for the third look that settles it.

import { Failed, get } from "./api.js";
import { $, make, tell } from "./app.js";
import { table } from "./progress.js";

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
    if (offset + answer.rows.length < answer.found) {
      const more = make("button", "Next page");
      more.addEventListener("click", () => this.load(offset + answer.rows.length));
      body.push(make("p"), more);
    }
    $("compare-body").replaceChildren(...body);
  }

  // the third look at the next difference that is not settled; after the last one comes the worst again
  async next(key) {
    const { one, two } = key;
    let worst = null, passed = false;
    try {
      for (let offset = 0, found = 1; offset < found;) {
        const answer = await get("compare", { one, two, offset });
        for (const row of answer.rows) {
          const here = row.id === key.id && row.landmark === key.landmark;
          passed ||= here;
          if (here || row.settled) continue;
          if (passed) return this.settle(row, one, two);
          worst ??= row;
        }
        found = answer.rows.length && answer.found;
        offset += answer.rows.length;
      }
    } catch (error) { return tell(error instanceof Failed ? error.message : "the server does not answer"); }
    return worst ? this.settle(worst, one, two) : tell("no other difference is left to settle");
  }
}
