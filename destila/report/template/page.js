"use strict";
// Sort a table by the column whose heading is activated: numbers by value, missing ones last, equal ones as they were.
for (const table of document.querySelectorAll("table:not(.confusion)")) {
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  heads.forEach((head, column) => {
    head.querySelector("button").addEventListener("click", () => {
      const values = [...body.rows].map((row) => row.cells[column].dataset.v);
      const numeric = values.every((value) => value === "" || !Number.isNaN(Number(value)));
      // The first click on numbers puts the largest on top, on names the first of the alphabet.
      const before = head.getAttribute("aria-sort");
      const down = before === "none" ? numeric : before === "ascending";
      heads.forEach((other) => other.setAttribute("aria-sort", "none"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const compare = (a, b) => {
        const [x, y] = [a.cells[column].dataset.v, b.cells[column].dataset.v];
        if (x === "" || y === "") return (x === "") - (y === "");
        const order = numeric ? Number(x) - Number(y) : x.localeCompare(y, "es");
        return down ? -order : order;
      };
      body.append(...[...body.rows].sort(compare));
    });
  });
}
// What is folded on the screen is shown on paper.
let folded = [];
addEventListener("beforeprint", () => {
  folded = [...document.querySelectorAll("details:not([open])")];
  folded.forEach((part) => { part.open = true; });
});
addEventListener("afterprint", () => folded.forEach((part) => { part.open = false; }));
