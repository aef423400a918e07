// The table of attempts: sorting, filters, and rows that open.

const table = document.getElementById("table");
const form = document.getElementById("filters");
const rows = table ? [...table.tBodies[0].rows] : [];
const more = document.getElementById("more"); // says that there are further rows
let limit = rows.filter((row) => !row.hidden).length; // rows shown: the rest costs time to lay out
let fitting = rows; // the rows that the filters leave
const opened = new Map(); // a row and the one below it that shows its details
const searched = new Map(); // a row and the text in which it is looked for

function valueOf(row, column) {
  return row.cells[column].dataset.value;
}

function sort(head) {
  const [column, numeric] = [head.cellIndex, head.firstElementChild.dataset.kind === "number"];
  const before = head.getAttribute("aria-sort");
  const falling = before ? before === "ascending" : numeric;
  for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", falling ? "descending" : "ascending");
  const compared = (one, two) => (numeric ? one - two : one < two ? -1 : Number(one > two));
  const order = (first, second) => {
    const [one, two] = [valueOf(first, column), valueOf(second, column)];
    if (one === "" || two === "") return Number(one === "") - Number(two === "");
    return falling ? compared(two, one) : compared(one, two);
  };
  rows.sort(order);
  const fit = new Set(fitting);
  fitting = rows.filter((row) => fit.has(row));
  show();
  const parts = rows.flatMap((row) => (opened.has(row) ? [row, opened.get(row)] : [row]));
  table.tBodies[0].append(...parts);
}

// Id, parents, reason, and what was changed: the lines of the delta that are not context.
function textFor(row) {
  if (!searched.has(row)) {
    const detail = data.attempts[row.id];
    const lines = detail.delta ? textOf(detail.delta).split("\n") : [];
    const changed = lines.filter((line) => line.startsWith("+") || line.startsWith("-"));
    const parts = [row.textContent, ...detail.path, detail.reason, ...changed];
    searched.set(row, parts.join("\n").toLowerCase());
  }
  return searched.get(row);
}

async function filter() {
  if (form.elements.text.value.trim()) data = await payload;
  const asked = Object.fromEntries(new FormData(form)); // as it is by now
  const text = asked.text.trim().toLowerCase();
  const gain = (row) => (valueOf(row, 5) === "" ? null : Number(valueOf(row, 5)));
  const fits = (row) =>
    ["verdict", "family", "cycle"].every((key) => !asked[key] || row.dataset[key] === asked[key]) &&
    (asked.gain !== "better" || gain(row) > 0) &&
    (asked.gain !== "worse" || (gain(row) !== null && gain(row) <= 0)) &&
    (asked.gain !== "sure" || row.dataset.sure) &&
    (!text || textFor(row).includes(text));
  fitting = rows.filter(fits);
  show();
  const all = `${rows.length} attempts`;
  const many = fitting.length < rows.length ? `${fitting.length} of ${all}` : all;
  document.getElementById("shown").textContent = many;
  document.getElementById("none").hidden = fitting.length > 0;
}

// Show the first of the rows that fit.
function show() {
  const shown = new Set(fitting.slice(0, limit));
  for (const row of rows) {
    row.hidden = !shown.has(row);
    if (opened.has(row)) opened.get(row).hidden = row.hidden;
  }
  more.hidden = fitting.length <= limit;
}

function showAll() {
  limit = rows.length;
  show();
}

async function unfold(row) {
  data = await payload;
  if (opened.has(row)) return;
  const cell = make("td", { colspan: row.cells.length }, detailOf(row.id));
  const below = make("tr", { class: "opened" }, cell);
  opened.set(row, below);
  row.after(below);
  row.querySelector(".open").setAttribute("aria-expanded", "true");
}

function fold(row) {
  opened.get(row)?.remove();
  opened.delete(row);
  row.querySelector(".open").setAttribute("aria-expanded", "false");
}

// Show the attempt that an address names, whatever the filters leave out.
async function visit(address) {
  const row = rows.find((one) => `#${one.id}` === address);
  if (!row) return;
  if (!fitting.includes(row)) {
    form.reset();
    await filter();
  }
  if (row.hidden) showAll();
  await unfold(row);
  row.scrollIntoView({ block: "start" });
}

if (table) {
  for (const head of table.tHead.rows[0].cells) {
    head.firstElementChild.addEventListener("click", () => sort(head));
  }
  for (const row of rows) {
    row.addEventListener("click", (event) => {
      if (event.target.closest("a") || String(getSelection())) return;
      if (opened.has(row)) fold(row);
      else unfold(row);
    });
  }
  more.firstElementChild.addEventListener("click", showAll);
  form.addEventListener("input", filter);
  form.addEventListener("reset", () => setTimeout(filter)); // after the fields are empty
  form.addEventListener("submit", (event) => event.preventDefault());
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href^='#']");
    if (link && link.getAttribute("href") === location.hash) visit(location.hash);
  });
  addEventListener("hashchange", () => visit(location.hash));
  visit(location.hash);
}
