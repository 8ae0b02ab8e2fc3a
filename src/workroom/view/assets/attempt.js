// An attempt beside the table: what was asked and answered, in each mode, and its conversation.

/* `bench`: {rows, source(number) -> {record(), run()}, link(row), address}. Gives {close(), renew(), go(name)}. */
function renderAttempt(root, row, bench) {
  const comparison = el("div.comparison");
  const about = el("section", { "aria-label": "Task" });
  const talk = el("div.conversation", {}, el("p.note", {}, "Opening …"));
  replace(
    root,
    el(
      "header.attempt-head",
      {},
      el("h2", { tabindex: "-1" }, row.task),
      el("div.tools", {}, button("Previous", () => bench.step(-1)), button("Next", () => bench.step(1)), button("Copy link", () => copy(location.href, "Link")), button("Close", () => bench.close(), { "aria-label": "Close this attempt" })),
    ),
    about,
    comparison,
    talk,
  );
  const records = new Map();
  const recordOf = async (number) => {
    if (!records.has(number) || bench.live()) records.set(number, await bench.source(number).record().catch(() => null));
    return records.get(number);
  };
  let open = true;
  let view = null;
  let begun = 0;
  async function compare() {
    const turn = ++begun;
    const others = bench.rows().filter((other) => other.place === row.place && other.repeat === row.repeat);
    const found = await Promise.all(others.map((other) => recordOf(other.number)));
    if (!open || turn !== begun) return;
    const own = found[others.findIndex((other) => other.number === row.number)];
    if (own) renew(about, aboutTask(own, row));
    replace(comparison, bench.isFolder() ? own?.error && el("p.note.bad", {}, own.error) : sideBySide(others, found, row, bench));
  }
  compare();
  bench.address.watch(() => {
    for (const found of comparison.querySelectorAll("a[data-number]"))
      found.setAttribute("href", bench.link(bench.rows()[found.dataset.number])); // what else is in the address has changed
  });
  bench
    .source(row.number)
    .run()
    .then((source) => {
      if (open) view = renderRun(talk, source, { address: bench.address, top: false });
    })
    .catch((error) => open && replace(talk, el("p.note", {}, row.stop === "running" ? "It has not begun to talk to the model yet." : bench.served ? `Its conversation cannot be shown: ${error.message}` : "Its conversation is not in this file: it did not fit, or there is none any more. The command workroom view --serve shows it from the directory.")));
  return { renew: compare, go: (name) => view?.go(name), close: () => ((open = false), view?.close()) };
}

function aboutTask(told, row) {
  const prose = (name, value, lines) => (value === null || value === undefined || value === "" ? null : el("div", {}, el("h3", {}, name), textBlock(String(value), {}, { kind: "prose", label: name.toLowerCase(), lines })));
  const answer = typeof told.answer === "object" && told.answer !== null ? JSON.stringify(told.answer) : told.answer;
  return el(
    "div.about-task",
    {},
    el("p.facts", {}, [row.suite, told.grader && `graded by ${told.grader}`].filter(Boolean).join(" · ")),
    prose("Question", told.question, 10),
    told.choices?.length ? el("ol.choices", { type: "A" }, told.choices.map((choice) => el("li", {}, String(choice)))) : null,
    told.documents?.length ? el("details", {}, el("summary", {}, `${number(told.documents.length)} documents`), el("ul.documents", {}, inParts(each(told.documents, (name) => el("li", {}, name)), told.documents.length, LISTED))) : null,
    prose("Reference answer", answer, 4),
  );
}

function sideBySide(rows, records, own, bench) {
  const line = (label, cell) => {
    const cells = rows.map((row, place) => cell(row, records[place] || {}));
    return cells.every((value) => value === null || value === undefined || value === "" || value === "–") ? null : el("tr", {}, el("th", { scope: "row" }, label), cells.map((value) => el("td", {}, value)));
  };
  const details = (told) => (told.details && Object.keys(told.details).length ? el("details", {}, el("summary", {}, "Details"), textBlock(JSON.stringify(told.details, null, 1), {}, { label: "details" })) : null);
  return el(
    "table.side-by-side",
    {},
    el("caption.unseen", {}, "The same task in each mode"),
    el("thead", {}, el("tr", {}, el("td"), rows.map((row) => el("th", { scope: "col", "aria-current": row.number === own.number ? "true" : null }, row.number === own.number ? `${row.mode}, repeat ${row.repeat}` : el("a", { href: bench.link(row), "data-number": row.number }, `${row.mode}, repeat ${row.repeat}`))))),
    el(
      "tbody",
      {},
      line("Score", (row) => scoreChip(row)),
      line("Extracted", (row, told) => told.extracted && textBlock(String(told.extracted), {}, { label: "extracted answer", lines: 4 })),
      line("Reason", (row, told) => told.reason && textBlock(told.reason, {}, { label: "reason", lines: 6 })),
      line("Details", (row, told) => details(told)),
      line("Error", (row, told) => told.error && textBlock(told.error, {}, { label: "error", lines: 6 })),
      line("Stop reason", (row) => stopText(row.stop)),
      line("Turns", (row) => number(row.turns)),
      line("Tokens", (row) => (tokensOf(row) === null ? "–" : `${number(row.tokensIn)} in, ${number(row.tokensOut)} out`)),
      line("Time", (row) => seconds(row.seconds)),
      line("Cost", (row) => money(row.cost)),
    ),
  );
}
