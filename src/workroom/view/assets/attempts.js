// The table of a bench: very many rows, of which those in sight are there; what can be filtered and sorted.

const ROW = 34; // pixels, as in bench.css
const BEYOND = 12; // rows above and below those in sight
const STATES = { __proto__: null, running: "under way", killed: "Cut short" };
const stopText = (reason) => STATES[reason] || reasonText(reason) || "–";

/* What a score is. */
function verdictOf(row) {
  if (row.score === null) return row.stop === "running" ? "running" : "unscored";
  return row.score >= 1 ? "right" : row.score <= 0 ? "wrong" : "partial";
}
const VERDICTS = { right: "good", wrong: "bad", partial: "going", running: "going", unscored: "" };
const points = (score) => (score === null ? "–" : score === 1 ? "1" : score === 0 ? "0" : score.toFixed(2));
const scoreChip = (row) => el(`span.chip${VERDICTS[verdictOf(row)] && `.${VERDICTS[verdictOf(row)]}`}`, { title: verdictOf(row) }, points(row.score), el("span.unseen", {}, ` ${verdictOf(row)}`));
const money = (cost) => (typeof cost !== "number" ? "–" : `$${cost.toFixed(cost < 1 ? 4 : 2)}`);
const tokensOf = ({ tokensIn, tokensOut }) => (tokensIn === null && tokensOut === null ? null : tokensIn + tokensOut);
const signed = (value) => (value === null ? "–" : value === 0 ? "0" : `${value > 0 ? "+" : "−"}${Math.abs(value).toFixed(Number.isInteger(value) ? 0 : 2)}`);

const classesOf = (column) => ["figure", "spare"].filter((name) => column[name]).map((name) => `.${name}`).join("");
const text = (name, label, value, more) => ({ name, label, value, cell: value, ...more });
const figure = (name, label, value, told = number, more) => ({ name, label, value, cell: (row) => told(value(row)), figure: true, ...more });

/* Columns of attempts; `open(row)` gives the address of a row. Those that are `spare` go where there is little room. */
const attemptColumns = (open, several) => [
  several && text("suite", "Suite", (row) => row.suite),
  { name: "task", label: several === null ? "Run" : "Task", value: (row) => row.task, cell: (row) => el("a", { href: open(row), title: harmless(row.question) }, row.task) },
  text("mode", "Mode", (row) => row.mode),
  several !== null && figure("repeat", "Repeat", (row) => row.repeat, number, { spare: true }),
  several !== null && { name: "score", label: "Score", value: (row) => row.score, cell: scoreChip, figure: true },
  text("stop", "Stop reason", (row) => stopText(row.stop)),
  figure("turns", "Turns", (row) => row.turns),
  figure("tokens", "Tokens", tokensOf, short, { spare: true }),
  figure("time", "Time", (row) => row.seconds, seconds, { spare: true }),
  figure("cost", "Cost", (row) => row.cost, money, { spare: true }),
  text("reason", several === null ? "Error" : "Reason", (row) => row.reason, { spare: true }),
].filter(Boolean);

/* Columns of pairs: of the same task and repeat in two modes. */
const pairColumns = (open, several, [first, second]) => [
  several && text("suite", "Suite", (pair) => pair.suite),
  { name: "task", label: "Task", value: (pair) => pair.task, cell: (pair) => el("a", { href: open(pair), title: harmless(pair.question) }, pair.task) },
  figure("repeat", "Repeat", (pair) => pair.repeat, number, { spare: true }),
  { name: "first", label: first, value: (pair) => pair.first.score, cell: (pair) => scoreChip(pair.first), figure: true },
  { name: "second", label: second, value: (pair) => pair.second.score, cell: (pair) => scoreChip(pair.second), figure: true },
  figure("difference", "Difference", (pair) => pair.difference, signed),
  figure("turns", "Turns", (pair) => pair.second.turns, number, { spare: true }),
  figure("tokens", "Tokens", (pair) => tokensOf(pair.second), short, { spare: true }),
  figure("time", "Time", (pair) => pair.second.seconds, seconds, { spare: true }),
  text("stop", "Stop reason", (pair) => stopText(pair.second.stop), { spare: true }),
].filter(Boolean);

function pairsOf(rows, [first, second]) {
  const found = new Map();
  for (const row of rows) {
    if (row.mode !== first && row.mode !== second) continue;
    const name = `${row.place}/${row.repeat}`;
    if (!found.has(name)) found.set(name, {});
    found.get(name)[row.mode === first ? "first" : "second"] = row;
  }
  return [...found.values()]
    .filter((pair) => pair.first && pair.second)
    .map((pair) => ({ ...pair, suite: pair.second.suite, task: pair.second.task, question: pair.second.question, repeat: pair.second.repeat, number: pair.second.number, difference: pair.first.score === null || pair.second.score === null ? null : pair.second.score - pair.first.score }));
}

/* The items in the order of a column; what has no value comes last. Equal ones keep their order. */
function sorted(items, column, down) {
  if (!column) return items;
  const order = column.figure ? (one, other) => one - other : new Intl.Collator("en", { numeric: true }).compare;
  const known = [];
  const rest = [];
  for (const item of items) {
    if (column.value(item) === null) rest.push(item);
    else known.push([column.value(item), item]);
  }
  known.sort((one, other) => (down ? order(other[0], one[0]) : order(one[0], other[0])));
  return [...known.map(([, item]) => item), ...rest];
}

/* A table in a box that scrolls. `sort(name)` is called for a click on a head. Gives {element, show(columns, items, sorting),
   mark(number)}. */
function longTable(label, sort) {
  const head = el("tr", { "aria-rowindex": "1" });
  const above = el("tr.space", { "aria-hidden": "true" }, el("td"));
  const below = el("tr.space", { "aria-hidden": "true" }, el("td"));
  const body = el("tbody", {}, above, below);
  const table = el("table", {}, el("caption.unseen", {}, label), el("thead", {}, head), body);
  const box = el("div.attempts", { tabindex: "0", role: "group", "aria-label": label }, table);
  let items = [];
  let columns = [];
  let marked = null;
  let from = -1;
  let until = -1;
  let printing = null; // where it was scrolled to before
  const rowOf = (item, place) =>
    el(
      "tr",
      { "aria-rowindex": place + 2, "aria-selected": item.number === marked ? "true" : null, "data-place": place },
      columns.map((column) => el(`td${classesOf(column)}`, {}, column.cell(item))),
    );
  function draw(anew) {
    if (printing !== null) return;
    const first = Math.max(0, Math.floor(box.scrollTop / ROW) - BEYOND);
    const last = Math.min(items.length, Math.ceil((box.scrollTop + box.clientHeight) / ROW) + BEYOND);
    if (!anew && first === from && last === until) return;
    const focused = anew ? null : document.activeElement?.closest?.("tr[data-place]")?.dataset.place;
    [from, until] = [first, last];
    above.firstChild.style.height = `${first * ROW}px`;
    below.firstChild.style.height = `${(items.length - last) * ROW}px`;
    body.replaceChildren(above, ...items.slice(first, last).map((item, place) => rowOf(item, first + place)), below);
    if (focused && box.contains(table)) $(`tr[data-place="${focused}"] a`, body)?.focus({ preventScroll: true });
  }
  box.addEventListener("scroll", () => draw(false));
  box.addEventListener("click", (event) => {
    if (!event.target.closest("a, button")) $("a", event.target.closest("tr[data-place]") || above)?.click();
  });
  onPaper(
    () => {
      printing = box.scrollTop;
      above.firstChild.style.height = below.firstChild.style.height = "0";
      const left = items.length - PRINTED_ITEMS;
      const note = left > 0 && el("tr.paper", {}, el("td", { colspan: columns.length }, `${number(left)} more rows are not on this paper: it has the first ${number(PRINTED_ITEMS)} that the filters leave.`));
      replace(body, above, items.slice(0, PRINTED_ITEMS).map(rowOf), note, below);
    },
    () => {
      const place = printing;
      printing = null;
      draw(true);
      box.scrollTop = place;
    },
  );
  new ResizeObserver(() => draw(false)).observe(box);
  return {
    element: box,
    items: () => items,
    show(newColumns, newItems, { name, down }) {
      [columns, items] = [newColumns, newItems];
      table.setAttribute("aria-rowcount", String(items.length + 1));
      const focus = document.activeElement?.dataset?.sort;
      const arrow = (column) => (column.name === name ? (down ? " ↓" : " ↑") : "");
      const state = (column) => (column.name === name ? (down ? "descending" : "ascending") : null);
      replace(head, columns.map((column) => el(`th${classesOf(column)}`, { scope: "col", "aria-sort": state(column) }, el("button", { type: "button", "data-sort": column.name, click: () => sort(column.name) }, column.label, el("span", { "aria-hidden": "true" }, arrow(column))))));
      if (focus) $(`[data-sort="${focus}"]`, head)?.focus();
      above.firstChild.colSpan = below.firstChild.colSpan = columns.length;
      draw(true);
    },
    mark(number, follow) {
      marked = number;
      const place = items.findIndex((item) => item.number === number || item.first?.number === number);
      if (follow && place >= 0 && (place * ROW < box.scrollTop || (place + 2) * ROW > box.scrollTop + box.clientHeight)) box.scrollTop = Math.max(0, place * ROW - box.clientHeight / 3);
      draw(true);
    },
  };
}
