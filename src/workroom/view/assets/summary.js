// What stands above the table of a bench: what it is, the means and differences of its report, and the plots.

const PLOTS = { means: "Mean scores in %, with 95 % intervals", differences: "Differences in points, with 95 % intervals", capabilities: "Share of turns that show each use", tokens: "Tokens an attempt", throughput: "Where the time goes" };

const FIGURES = new Set(["Mean", "Scored", "Points"]);

function benchHead(place, index, source) {
  const told = Object.fromEntries(index.facts);
  const lead = ["Model", "Suites", "Modes", "Runs", "workroom version"];
  const rest = index.facts.filter(([name]) => !lead.includes(name));
  const list = (entries) => el("dl.arguments", {}, entries.map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
  renew(
    place,
    el("h1", {}, index.title),
    list(lead.filter((name) => told[name]).map((name) => [name, told[name]])),
    rest.length ? el("details", {}, el("summary", {}, "Settings"), list(rest)) : null,
    summaryTable(index.tables),
    index.plots.length ? plots(index.plots, source) : null,
  );
}

function summaryTable(tables) {
  const rowsOf = (name) => {
    const table = tables.find((one) => one.name === name);
    return table ? table.rows.map((row) => Object.fromEntries(table.columns.map((column, place) => [column, row[place]]))) : [];
  };
  const share = (value) => (value === "" || value === undefined || Number.isNaN(Number(value)) ? "–" : (100 * Number(value)).toFixed(1).replace("-", "−"));
  const plus = (value) => (Number(value) > 0 ? "+" : "") + share(value);
  const means = rowsOf("means");
  const differences = rowsOf("differences");
  if (!means.length) return null;
  const head = (...names) => el("thead", {}, el("tr", {}, names.map((name) => el(FIGURES.has(name) ? "th.figure" : "th", { scope: "col" }, name))));
  const interval = (row) => (row.interval_low ? ` [${share(row.interval_low)}, ${share(row.interval_high)}]` : "");
  return el(
    "div.summary-tables",
    {},
    el("table", {}, el("caption", {}, "Means in %, with 95 % intervals"), head("Suite", "Mode", "Mean", "Scored"), el("tbody", {}, means.map((row) => el("tr", {}, el("th", { scope: "row" }, row.suite), el("td", {}, row.arm), el("td.figure", {}, share(row.mean) + interval(row)), el("td.figure", {}, `${row.scored} of ${row.attempts}`))))),
    differences.length ? el("table", {}, el("caption", {}, "Differences in points"), head("Suite", "Difference", "Points", "Verdict"), el("tbody", {}, differences.map((row) => el("tr", {}, el("th", { scope: "row" }, row.suite), el("td", {}, row.difference), el("td.figure", {}, plus(row.points) + interval(row)), el("td", {}, row.verdict))))) : null,
  );
}

function plots(names, source) {
  const place = el("div.plots");
  const details = el("details", {}, el("summary", {}, `Plots of the report (${names.length})`), place);
  details.addEventListener("toggle", async () => {
    if (!details.open || place.childElementCount) return;
    for (const name of names) {
      const picture = el("img", { alt: PLOTS[name] });
      place.append(el("figure", {}, picture, el("figcaption", {}, PLOTS[name])));
      picture.src = await source.plot(name);
    }
  });
  return details;
}
