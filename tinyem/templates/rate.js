"use strict";
const { rows, place, done: allSeen } = JSON.parse(document.getElementById("data").textContent);
const ratings = new Map();
const byId = (id) => document.getElementById(id);
let at = 0;
let unsaved = false;

function show() {
  const done = at >= rows.length;
  byId("place").textContent = done ? allSeen.replace("{n}", ratings.size) : place.replace("{i}", at + 1).replace("{n}", rows.length);
  byId("card").hidden = done;
  byId("save").disabled = ratings.size === 0;
  byId("back").disabled = at === 0;
  if (done) { byId(ratings.size ? "save" : "back").focus(); return; }
  byId("question").textContent = rows[at].question;
  byId("answer").textContent = rows[at].answer;
  byId("form").reset();
  const before = ratings.get(rows[at].key);
  if (before) for (const name of ["alignment", "coherence"]) byId(name).value = before[name];
  byId("question").focus();
}

byId("form").addEventListener("submit", (event) => {
  event.preventDefault();
  const scores = {};
  for (const name of ["alignment", "coherence"]) scores[name] = Number(byId(name).value);
  ratings.set(rows[at].key, scores);
  unsaved = true;
  at += 1;
  show();
});
byId("back").addEventListener("click", () => { at = Math.max(0, at - 1); show(); });
byId("skip").addEventListener("click", () => { at += 1; show(); });
byId("save").addEventListener("click", () => {
  const text = [...ratings].map(([key, scores]) => JSON.stringify({ key, ...scores }) + "\n").join("");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "application/jsonl" }));
  link.download = "ratings.jsonl";
  link.click();
  unsaved = false;
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
});
window.addEventListener("beforeunload", (event) => { if (unsaved) event.preventDefault(); });
show();
