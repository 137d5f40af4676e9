// Search by name and filter by flag over all pages of predictions. The entries lie in parts, worst first, loaded one by one.
"use strict";
const MOST = 300; // results shown
const form = document.querySelector("form"), main = document.querySelector("main"), note = document.querySelector("output");
const cards = [...main.childNodes], parts = [];
let search = 0, found = 0; // the number of the search, and how many it has found

function begin() {
  search += 1;
  found = 0;
  note.textContent = "";
  const idle = !form.text.value.trim() && !form.flag.value;
  main.replaceChildren(...(idle ? cards : []));
  if (!idle) look(0, search);
}

function look(number, mine) {
  if (mine !== search) return; // another search has begun
  if (number === Number(form.dataset.parts)) {
    note.textContent = `${found} found` + (found > MOST ? `, the worst ${MOST} shown` : "");
  } else if (parts[number]) {
    parts[number].filter(matches).forEach(show);
    setTimeout(look, 0, number + 1, mine);
  } else {
    const script = document.createElement("script"); // unlike fetch, allowed for a page opened from a disk
    script.src = `pages/entries-${number + 1}.js`;
    script.onload = () => look(number, mine);
    script.onerror = () => (note.textContent = `pages/entries-${number + 1}.js is missing`);
    document.head.append(script);
  }
}

function entries(number, content) { // what a part calls
  parts[number] = content;
}

function matches([name, , flags]) {
  const text = form.text.value.trim().toLowerCase();
  return name.toLowerCase().includes(text) && (!form.flag.value || flags.includes(Number(form.flag.value)));
}

function show([name, overlay, flags, least]) {
  found += 1;
  if (found > MOST) return;
  const card = document.createElement("a"), picture = document.createElement("img"), title = document.createElement("b");
  card.className = flags.length ? "bad" : "good";
  card.href = `overlays/${overlay.split("/").map(encodeURIComponent).join("/")}`;
  picture.src = card.href;
  picture.loading = "lazy";
  title.textContent = name;
  const said = flags.map((flag) => form.flag.querySelector(`[value="${flag}"]`).textContent).join(", ");
  card.append(picture, title, document.createElement("br"), said || "nothing flagged", document.createElement("br"));
  card.append(`least confidence ${least.toFixed(2)}`);
  main.append(card);
}

form.addEventListener("input", begin);
form.addEventListener("submit", (event) => event.preventDefault());
