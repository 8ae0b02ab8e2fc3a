// The page of a bench, or of a folder with runs. What is chosen is kept in the fragment of the address.

const PAIRS = { __proto__: null, "": "All pairs", second: "Only second right", first: "Only first right", both: "Both right", neither: "Neither right" };
const FIELDS = ["place", "mode", "repeat", "score", "reason", "stop", "turns", "tokensIn", "tokensOut", "seconds", "cost"];

const chosen = () => new URLSearchParams(location.hash.slice(1));
const nameOf = (row) => [row.suite, row.task, row.mode, row.repeat].join("/");
const linkTo = (changes) => {
  const state = chosen();
  for (const [name, value] of Object.entries(changes)) value ? state.set(name, value) : state.delete(name);
  return `#${state}`;
};

const RECORDS = 100; // in an element, as bench_page.py puts them

/* Where the data comes from: {index, attempt(number) -> {record(), run()}, plot(name) -> address, poll?(version)}. */
async function benchSource() {
  const base = document.body.dataset.live;
  if (base === undefined) {
    const bytes = async (name) => unpacked(await chunkElement(name));
    const json = async (name) => JSON.parse(await (await bytes(name)).text());
    const record = async (number) => (await json(`records-${Math.floor(number / RECORDS)}`))[number % RECORDS];
    return {
      index: JSON.parse($("#index").textContent),
      attempt: (number) => ({ record: () => record(number), run: async () => embeddedSource(await json(`a${number}/index`), `a${number}/`) }),
      plot: async (name) => URL.createObjectURL(new Blob([await bytes(`plot-${name}`)], { type: "image/svg+xml" })),
    };
  }
  let tag = null;
  const ask = async (path, headers) => {
    const answer = await fetch(base + path, { headers: headers || {}, cache: "no-store" });
    if (!answer.ok && answer.status !== 304) throw new Error(`the server answered ${answer.status}`);
    return answer;
  };
  return {
    index: await (await ask("index?after=0")).json(),
    attempt: (number) => ({ record: async () => (await ask(`attempt/${number}/record`)).json(), run: () => servedSource(`${base}attempt/${number}/`) }),
    plot: async (name) => `${base}plot/${name}`,
    async poll(version) {
      const answer = await ask(`index?after=${version}`, tag ? { "If-None-Match": tag } : {});
      if (answer.status === 304) return null;
      tag = answer.headers.get("ETag");
      return answer.json();
    },
  };
}

function rowOf(record, number, questions) {
  const row = { number };
  FIELDS.forEach((name, place) => (row[name] = record[place]));
  const [suite, task, question] = questions[row.place] || ["", "", ""];
  return Object.assign(row, { suite, task, question, words: `${task}\n${question}`.toLowerCase() });
}

async function startBench() {
  const source = await benchSource();
  const { index } = source;
  const questions = index.questions;
  const rows = index.rows.map((record, number) => rowOf(record, number, questions));
  const names = (list) => [...new Set(list)];
  const isFolder = () => !questions.some(([suite]) => suite);
  const several = () => (isFolder() ? null : names(rows.map((row) => row.suite)).length > 1);
  const modes = () => names(rows.map((row) => row.mode)).sort((one, other) => (one !== "llm") - (other !== "llm"));
  const count = el("p.facts", { role: "status" });
  const live = el("span.live", { role: "status", hidden: !index.live }, index.live ? "Live" : "");
  const panel = el("article.attempt", { "aria-label": "Attempt", hidden: true });
  const table = longTable(isFolder() ? "Runs" : "Attempts", (name) => go({ sort: name, down: chosen().get("sort") === name && !chosen().get("down") ? "1" : "" }));
  const filters = el("form.filters", { role: "search", "aria-label": "Filters", submit: (event) => event.preventDefault() });
  const head = el("div.bench-head");
  let opened = null;
  let watchers = [];

  function go(changes, push = false) {
    history[push ? "pushState" : "replaceState"](null, "", linkTo(changes));
    look();
  }
  const address = {
    get: () => chosen().get("turn") || "",
    set: (name, push) => history[push ? "pushState" : "replaceState"](null, "", linkTo({ turn: name })),
    link: (name) => linkTo({ turn: name }),
    whole: (name) => location.href.split("#")[0] + linkTo({ turn: name }),
    watch: (listener) => watchers.push(listener),
  };
  const link = (item) => linkTo({ attempt: nameOf(item.second || item), turn: "" });
  const bench = {
    rows: () => rows,
    source: source.attempt,
    served: Boolean(source.poll),
    live: () => index.live,
    isFolder,
    link,
    address,
    close: () => go({ attempt: "", turn: "" }, true),
    step(by) {
      const items = table.items();
      const place = items.findIndex((item) => item.number === opened?.number || item.first?.number === opened?.number);
      const next = items[place < 0 ? 0 : place + by];
      if (next) go({ attempt: nameOf(next.second || next), turn: "" });
    },
  };

  /* The items that the filters leave, in the order that is asked for. */
  function choose() {
    const state = chosen();
    const [words, suite, mode, score, stop] = ["q", "suite", "mode", "score", "stop"].map((name) => state.get(name) || "");
    const fits = (row) => (!suite || row.suite === suite) && (!words || row.words.includes(words.toLowerCase()));
    if (state.get("view") === "pairs" && modes().length > 1) {
      const two = pairModes(state);
      const pairs = pairsOf(rows.filter(fits), two).filter((pair) => fitsPair(pair, state.get("pair")));
      const columns = pairColumns(link, several(), two);
      return [columns, sorted(pairs, columns.find((column) => column.name === state.get("sort")), state.get("down")), pairsOf(rows, two).length];
    }
    const columns = attemptColumns(link, several()).filter((column) => !["cost", "reason"].includes(column.name) || rows.some((row) => column.value(row)));
    const found = rows.filter((row) => fits(row) && (!mode || row.mode === mode) && (!score || verdictOf(row) === score) && (!stop || row.stop === stop));
    return [columns, sorted(found, columns.find((column) => column.name === state.get("sort")), state.get("down")), rows.length];
  }
  const pairModes = (state) => {
    const [first, second] = (state.get("modes") || "").split(",");
    return modes().includes(first) && modes().includes(second) ? [first, second] : modes().slice(0, 2);
  };
  const fitsPair = (pair, kind) => {
    if (!kind || !(kind in PAIRS)) return true;
    if (pair.difference === null) return false;
    const [first, second] = [pair.first.score >= 1, pair.second.score >= 1];
    return { first: first && !second, second: second && !first, both: first && second, neither: !first && !second }[kind];
  };

  function showTable() {
    const [columns, items, all] = choose();
    table.show(columns, items, { name: chosen().get("sort"), down: chosen().get("down") });
    const verdicts = ["right", "partial", "wrong", "unscored", "running"].map((name) => [name, items.filter((item) => verdictOf(item.second || item) === name).length]);
    const what = chosen().get("view") === "pairs" ? "pairs" : isFolder() ? "runs" : "attempts";
    replace(count, `${number(items.length)}${items.length === all ? "" : ` of ${number(all)}`} ${what}`, isFolder() || what === "pairs" ? null : verdicts.filter(([, most]) => most).map(([name, most]) => ` · ${number(most)} ${name}`).join(""));
  }

  function showFilters() {
    const state = chosen();
    const choice = (name, label, options) => {
      const list = Array.isArray(options) ? options.map((value) => [value, value]) : Object.entries(options);
      const select = el("select", { "aria-label": label, name, change: () => go({ [name]: select.value }) }, list.map(([value, told]) => el("option", { value, selected: (state.get(name) || "") === value }, told)));
      return list.length > 2 ? select : null;
    };
    const words = $("input", filters) || el("input", { type: "search", name: "q", placeholder: "Task or question", "aria-label": "Text in the task's id or question", input: () => go({ q: words.value }) });
    if (document.activeElement !== words) words.value = state.get("q") || "";
    const any = (label, values, told = (value) => value) => Object.fromEntries([["", label], ...values.sort().map((value) => [value, told(value)])]);
    const pairs = state.get("view") === "pairs" && modes().length > 1;
    const [first, second] = pairModes(state);
    const told = { ...PAIRS, second: `Only ${second} right`, first: `Only ${first} right` };
    const every = modes().flatMap((one, place) => modes().slice(place + 1).map((other) => [`${one},${other}`, `${one} against ${other}`]));
    const looks = (name, label) => button(label, () => go({ view: name, sort: "", down: "" }), { "aria-pressed": String(pairs === (name === "pairs")) });
    const focus = document.activeElement?.name || document.activeElement?.textContent;
    const parts = [
      modes().length > 1 && !isFolder() && el("div.looks", { role: "group", "aria-label": "What the table shows" }, looks("", "Attempts"), looks("pairs", "Side by side")),
      choice("suite", "Suite", any("All suites", names(rows.map((row) => row.suite)))),
      pairs ? [every.length > 1 && choice("modes", "Modes", { ...Object.fromEntries(every) }), choice("pair", "Pairs", told)] : [choice("mode", "Mode", any("All modes", modes())), !isFolder() && choice("score", "Score", any("Any score", names(rows.map(verdictOf)))), choice("stop", "Stop reason", any("Any stop reason", names(rows.map((row) => row.stop)), stopText))],
    ];
    for (const child of [...filters.children]) if (child !== words) child.remove();
    put(filters, parts);
    if (words.parentNode !== filters) filters.prepend(words);
    if (focus && document.activeElement === document.body) [...filters.elements].find((one) => one.name === focus || one.textContent === focus)?.focus();
  }

  function showAttempt() {
    const name = chosen().get("attempt");
    const row = name === null ? null : rows.find((one) => nameOf(one) === name) || null;
    if (row?.number === opened?.number) return watchers.forEach((listener) => listener());
    opened?.view.close();
    watchers = [];
    opened = row && { number: row.number };
    document.body.classList.toggle("beside", Boolean(row));
    panel.hidden = !row;
    table.mark(row ? row.number : null, true);
    if (!row) return replace(panel);
    opened.view = renderAttempt(panel, row, bench);
    const { top } = panel.getBoundingClientRect();
    if (top < 0 || top > innerHeight / 2) panel.scrollIntoView();
    announce(`${row.task}, ${row.mode}: ${verdictOf(row)}`);
  }

  function look() {
    showFilters();
    showTable();
    showAttempt();
  }

  const keys = {
    "]": ["next attempt", () => bench.step(1)],
    "[": ["previous attempt", () => bench.step(-1)],
    Escape: ["close the attempt", () => opened && bench.close()],
    f: ["go to the filters", () => $("input", filters).focus()],
    "?": ["these keys; in a conversation also j and k: next and previous turn, o: open or close, /: search", () => showHelp(keys)],
  };
  replace($("#page"), el("div.bar", {}, live, button("?", () => showHelp(keys), { "aria-label": "Keys" }), themeButton()), head, el("div.bench", {}, el("section.list", { "aria-label": "Table" }, filters, count, table.element), panel));
  takeKeys($("#page"), keys);
  benchHead(head, index, source);
  addEventListener("popstate", look);
  addEventListener("hashchange", look);
  look();
  if (source.poll) followBench(source, rows, questions, live, { head, look, opened: () => opened });
}

/* Asks for what is new: each second while somebody is at work on it, else now and then. */
async function followBench(source, rows, questions, live, { head, look, opened }) {
  const { index } = source;
  const tell = () => {
    const busy = rows.filter((row) => row.stop === "running").length;
    const text = index.live ? `Live: ${number(rows.length - busy)} finished, ${number(busy)} under way` : "";
    live.hidden = !index.live;
    if (live.textContent !== text) replace(live, text);
  };
  for (;;) {
    await pause(index.live ? 1000 : 5000);
    let fresh;
    try {
      fresh = await source.poll(index.version);
      if (fresh !== null && index.live && !fresh.live) Object.assign(fresh, await source.poll(0));
    } catch {
      live.hidden = false;
      replace(live, "The server does not answer");
      continue;
    }
    if (fresh === null) {
      tell();
      continue;
    }
    Object.assign(questions, fresh.questions);
    const changed = fresh.numbers || fresh.rows.map((_, number) => number);
    fresh.rows.forEach((record, place) => (rows[changed[place]] = rowOf(record, changed[place], questions)));
    const facts = JSON.stringify([index.facts, index.tables, index.plots]);
    Object.assign(index, { ...fresh, questions: undefined, rows: undefined });
    tell();
    if (facts !== JSON.stringify([index.facts, index.tables, index.plots])) benchHead(head, index, source);
    if (!changed.length) continue;
    look();
    if (opened() && changed.some((place) => rows[place].place === rows[opened().number].place)) opened().view.renew();
  }
}
