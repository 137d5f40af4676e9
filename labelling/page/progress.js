// Progress and time left, training and proposing, and what can be said of the labels.

import { Failed, get, post } from "./api.js";
import { $, make } from "./app.js";

export function table(head, rows) {
  const made = make("table"), top = made.createTHead().insertRow(), body = made.createTBody();
  head.forEach((text) => top.append(make("th", text, { scope: "col" })));
  for (const row of rows) {
    const line = body.insertRow();
    for (const cell of row) line.insertCell().append(cell instanceof Node ? cell : document.createTextNode(cell ?? "–"));
  }
  return made;
}

function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

const px = (figure) => (figure ? `median ${figure.median.toFixed(2)}, mean ${figure.mean.toFixed(2)} px of 256 (${figure.n} points)` : "nothing measured yet");

export class Progress {
  // changed(): proposals may have come
  constructor(session, changed) {
    Object.assign(this, { session, changed, last: null });
    $("progress-button").addEventListener("click", () => this.open());
    setInterval(() => { if ($("progress-dialog").open || this.last?.job?.state === "running") this.load(); }, 2000);
    this.load();
  }

  open() {
    this.load();
    $("progress-dialog").showModal();
  }

  async load() {
    let answer;
    try { answer = await get("progress"); } catch { return; }
    const proposedBefore = this.last?.counts.proposed, before = this.last?.job?.state;
    this.last = answer;
    const left = answer.left_s === null ? "" : `, ${duration(answer.left_s)} left`;
    const job = answer.job?.state === "running" ? ` · ${answer.job.title}${answer.job.fraction === null ? "" : ` ${Math.round(100 * answer.job.fraction)} %`}` : "";
    $("progress-short").title = $("progress-short").textContent = `${answer.counts.done}/${answer.total} done${left}${job}`;
    if ((proposedBefore !== undefined && proposedBefore !== answer.counts.proposed && answer.job) || (before === "running" && answer.job?.state !== "running")) this.changed();
    if ($("progress-dialog").open) this.draw(answer);
  }

  draw(answer) {
    const { counts, total, again, pull, rounds, job } = answer;
    const bar = make("div", null, { className: "bar", role: "img", ariaLabel: `${counts.done} done, ${counts.partly} partly, ${counts.proposed} proposed, ${counts.none} without anything` });
    for (const state of ["done", "partly", "proposed"]) {
      const part = make("span", null, { className: state });
      part.style.width = `${(100 * counts[state]) / total}%`;
      bar.append(part);
    }
    const parts = [
      make("p", `${counts.done} of ${total} done, ${counts.partly} partly, ${counts.proposed} proposed, ${counts.none} without anything; ${answer.second_look} for a second look.`),
      bar,
      make("p", answer.pace_s === null ? "Your pace is known after the first radiograph." : `At your pace (${duration(answer.pace_s)} a radiograph) ${duration(answer.left_s)} are left.`),
      make("h3", "The network"),
      this.buttons(job),
    ];
    if (job) {
      parts.push(make("p", `${job.name}: ${job.state === "running" ? `step ${job.step} of ${job.steps}, ${job.title}` : job.state}, ${duration(job.seconds)}`));
      if (job.state === "running") {
        const whole = make("progress", null, { max: 1, ariaLabel: "Progress of the job" });
        if (job.fraction !== null) whole.value = job.fraction;
        parts.push(whole);
      }
      if (job.state !== "done") parts.push(make("pre", job.lines.join("\n")));
    }
    if (rounds.length) {
      const own = again.px ? again.px.mean.toFixed(2) : "–";
      const rows = rounds.map((r) => [String(r.round), r.time, String(r.radiographs), r.error_px === undefined ? "not measured" : `${r.error_px.toFixed(2)} px`, `${own} px`]);
      parts.push(table(["round", "when", "radiographs", "its error, cross-validated", "between your own two readings"], rows));
      parts.push(make("p", "Errors are means in px of the 256 x 256 frame. Where the network's error has come down to your own, more labelling of this kind pays no longer.", { className: "soft" }));
    }
    parts.push(
      make("h3", "Your repeatability"),
      make("p", `${again.radiographs} radiographs came a second time; between your two readings: ${px(again.px)}${again.mm ? `, mean ${again.mm.mean.toFixed(2)} mm` : ""}.`),
      make("h3", "Do proposals pull?"),
      make("p", `From what was proposed to what you confirmed, proposals shown: ${px(pull.shown)}; hidden: ${px(pull.hidden)}. If hidden ones lie much farther off, proposals pull.`),
    );
    $("progress-body").replaceChildren(...parts);
  }

  buttons(job) {
    const row = make("p"), running = job?.state === "running";
    const add = (text, path, off) => {
      const button = make("button", text, { disabled: off });
      button.addEventListener("click", async () => {
        try { await post(path, {}); } catch (error) { if (error instanceof Failed) row.append(make("span", ` ${error.message}`, { role: "alert" })); return; }
        this.load();
      });
      row.append(button, " ");
    };
    add("Train and propose", "train", running);
    if (this.session.can_propose) add("Propose again", "propose", running);
    if (running) add("Stop", "stop", false);
    return row;
  }
}
