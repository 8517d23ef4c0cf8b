"use strict";
// Colour by a factor, hide levels, filter and sort the table. Without script the page shows everything.
const body = document.body;
const rows = [...document.querySelectorAll("#runs tbody tr")];
const filter = document.getElementById("filter");

function count() {
  const shown = rows.filter((row) => getComputedStyle(row).display !== "none").length;
  document.getElementById("shown").textContent = `${shown} of ${rows.length} runs`;
}

for (const radio of document.querySelectorAll("[name=by]")) {
  radio.addEventListener("change", () => { body.dataset.by = radio.value; });
  if (radio.checked) body.dataset.by = radio.value;
}
for (const box of document.querySelectorAll("[data-off]")) {
  box.addEventListener("change", () => { body.classList.toggle(box.dataset.off, !box.checked); count(); });
  body.classList.toggle(box.dataset.off, !box.checked);
}
filter.addEventListener("input", () => {
  const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const row of rows) {
    const text = row.textContent.toLowerCase();
    row.classList.toggle("out", !words.every((word) => text.includes(word)));
  }
  count();
});
const heads = [...document.querySelectorAll("#runs thead th")];
heads.forEach((head, column) => {
  const button = head.querySelector("button");
  if (!button) return;
  button.addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") === "ascending";
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const key = (row) => row.cells[column].dataset.v ?? row.cells[column].textContent.trim();
    const order = (a, b) => String(a).localeCompare(String(b), "en", { numeric: true });
    const both = (a, b) => {
      const [x, y] = [key(a), key(b)];
      const numbers = x !== "" && y !== "" && !Number.isNaN(+x) && !Number.isNaN(+y);
      return numbers ? +x - +y : order(x, y);
    };
    rows.sort(both);
    if (down) rows.reverse();
    rows[0]?.parentNode.append(...rows);
  });
});
addEventListener("beforeprint", () => document.querySelectorAll("main > section > details").forEach((one) => { one.open = true; }));
