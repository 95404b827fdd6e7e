// Tables that sort: each column's head becomes a button. First click: largest number or first name first; then the
// other way round; then as it was.

const NUMBER = /[+−-]?\d[\d,]*(?:\.\d+)?/;

function makeSortable(table) {
  const body = table.tBodies[0];
  const original = [...body.rows];
  const heads = columnHeads(table);
  for (const [column, head] of heads) {
    const button = h("button", { type: "button", class: "sort" });
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const next = { none: "first", first: "second", second: "none" }[head.dataset.sorted || "none"];
      for (const [, other] of heads) setSorted(other, "none", false);
      const values = new Map(original.map((row) => [row, cellValue(row.cells[column])]));
      const numeric = [...values.values()].some((value) => typeof value === "number");
      setSorted(head, next, numeric);
      const rows = [...original];
      if (next !== "none") rows.sort(ordering(values, numeric, next === "first"));
      body.append(...rows);
    });
  }
}

/** [column, head] of every head that stands over a single column; heads may span rows and columns. */
function columnHeads(table) {
  const taken = [];
  const found = [];
  [...table.tHead.rows].forEach((row, y) => {
    let x = 0;
    for (const head of row.cells) {
      while (taken[y]?.[x]) x += 1;
      if (head.colSpan === 1) found.push([x, head]);
      for (let dy = 0; dy < head.rowSpan; dy += 1)
        for (let dx = 0; dx < head.colSpan; dx += 1) (taken[y + dy] ??= [])[x + dx] = true;
      x += head.colSpan;
    }
  });
  return found;
}

function setSorted(head, state, numeric) {
  head.dataset.sorted = state;
  if (state === "none") head.removeAttribute("aria-sort");
  else head.setAttribute("aria-sort", (state === "first") === numeric ? "descending" : "ascending");
}

/** The exact value where the cell carries one, else its first number, else its text. */
function cellValue(cell) {
  if (cell.dataset.value !== undefined) return Number(cell.dataset.value);
  const text = cell.textContent.trim();
  const number = cell.tagName === "TH" ? null : text.match(NUMBER);
  if (number) return Number(number[0].replaceAll(",", "").replace("−", "-"));
  return text;
}

/** Cells without a number, such as a dash, come last either way. */
function ordering(values, numeric, first) {
  const sign = numeric === first ? -1 : 1;
  return (a, b) => {
    const [left, right] = [values.get(a), values.get(b)];
    if (!numeric) return sign * left.localeCompare(right, undefined, { numeric: true });
    if (typeof left !== "number" || typeof right !== "number") return (typeof left !== "number") - (typeof right !== "number");
    return sign * (left - right);
  };
}

for (const table of document.querySelectorAll("table.sortable")) makeSortable(table);
