// Every action by keyboard: one table, which the sheet of keys is made from.

import { make } from "./app.js";

const KEYS = [
  ["Points", [
    [["Enter"], "accept the proposed point, or place at the crosshair", "enter"],
    [["A"], "accept all proposed points", "acceptAll"],
    [["Arrows"], "move the chosen points, or the crosshair, by a pixel; Shift: ten, Alt: a tenth", null],
    [["Delete", "Backspace"], "delete the point", "remove"],
    [["X"], "absent: cannot be seen", "absent"],
    [["U"], "unsure", "unsure"],
    [["]", "N"], "next landmark", "nextLandmark"],
    [["[", "P"], "landmark before", "previousLandmark"],
    [["D"], "pixel size: both ends of a known length; Shift: remove it", "ruler"],
    [["S"], "choose this point too, or no longer, to move several; ] and [ keep what is chosen", "select"],
    [["Ctrl+A"], "choose the whole skeleton, to move it", "selectAll"],
    [["Escape"], "choose nothing; end a third look", "escape"],
    [["Ctrl+Z"], "undo, over radiographs too", "undo"],
    [["Ctrl+Y", "Ctrl+Shift+Z"], "redo", "redo"],
  ]],
  ["Radiographs", [
    [["PageDown"], "the one that helps most; in a third look the next difference", "next"],
    [["PageUp"], "the one before", "previous"],
    [["K"], "for a second look", "secondLook"],
    [["V"], "list", "list"],
    [["T"], "progress, training and trust", "progress"],
    [["R"], "two readers compared", "compare"],
    [["O"], "take over from another window", "takeOver"],
  ]],
  ["View", [
    [["+", "="], "nearer", "nearer"],
    [["-"], "farther", "farther"],
    [["0"], "whole radiograph", "fit"],
    [["Ctrl+Arrows"], "move the picture", null],
    [["1", "2", "3", "4", "5"], "presets of the window; in a third look 1 and 2 take that reader's point", "preset"],
    [["B"], "brighter; Shift: darker", "bright"],
    [["C"], "more contrast; Shift: less", "contrast"],
    [["I"], "invert", "invert"],
    [["M"], "mirror; original coordinates are saved", "mirror"],
    [["H"], "names on or off", "names"],
    [["L"], "lines on or off", "lines"],
    [["J"], "crosshair on or off", "crosshair"],
    [["?", "F1"], "this sheet", "keys"],
  ]],
];

const MOUSE = [
  ["click", "place the next landmark; with Alt also close to another point"],
  ["drag a point", "move it, or all chosen ones"],
  ["drag elsewhere, or middle button", "move the picture"],
  ["wheel", "zoom at the cursor"],
  ["right button", "drag: window (up: brighter, right: more contrast)"],
  ["Shift + drag, Shift + click", "choose points"],
];

// what a key press is called in the table
function nameOf(event) {
  const key = event.key.length === 1 ? event.key.toUpperCase() : event.key;
  return (event.ctrlKey || event.metaKey ? "Ctrl+" : "") + (event.shiftKey && key.length === 1 && (event.ctrlKey || event.metaKey) ? "Shift+" : "") + key;
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

// actions: name -> function(event); arrows(dx, dy, event)
export function listen(actions, arrows) {
  const known = new Map(KEYS.flatMap(([, rows]) => rows).flatMap(([keys, , action]) => (action ? keys.map((key) => [key, action]) : [])));
  document.addEventListener("keydown", (event) => {
    if (document.querySelector("dialog[open]")) return;
    const target = event.target, typing = target.matches("input, select, textarea");
    if (typing) { if (event.key === "Escape") document.getElementById("stage").focus(); return; }
    if (ARROWS[event.key]) {
      if (target.closest("#rows") || target.closest("#landmarks")) return walk(event, target);
      event.preventDefault();
      return arrows(...ARROWS[event.key], event);
    }
    const onButton = target.matches("button, summary, a");
    if (onButton && (event.key === "Enter" || event.key === " ")) return; // the button's own
    const action = known.get(nameOf(event));
    if (!action || (event.altKey && event.key.length === 1)) return;
    event.preventDefault();
    actions[action](event);
  });
}

// up and down in a list of buttons
function walk(event, target) {
  const buttons = [...target.closest("ul, ol").querySelectorAll("button")], at = buttons.indexOf(target.closest("button"));
  const next = buttons[at + (event.key === "ArrowDown" || event.key === "ArrowRight" ? 1 : -1)];
  event.preventDefault();
  next?.focus();
}

export function sheet(body) {
  const table = (title, rows) => {
    const made = make("table");
    for (const [keys, text] of rows) {
      const row = made.insertRow(), cell = row.insertCell();
      for (const key of [keys].flat()) cell.append(make("kbd", key), " ");
      row.insertCell().textContent = text;
    }
    return [make("h3", title), made];
  };
  body.replaceChildren(...KEYS.flatMap(([title, rows]) => table(title, rows)), ...table("Mouse", MOUSE));
}
