// The page of a run.

const REASONS = {
  submitted: "Submitted",
  max_turns: "Turns used up",
  max_tokens: "Tokens used up",
  max_cost: "Cost used up",
  max_time: "Time used up",
  context_overflow: "Context window full",
  stalled: "Stalled",
  model_error: "Model failed",
  sandbox_error: "Sandbox failed",
  interrupted: "Interrupted",
};
const reasonText = (reason) => REASONS[reason] || reason;

/* Where the view of a run is: the fragment of the page's own address. */
function ownAddress() {
  return {
    get: () => location.hash.slice(1),
    set: (name, push) => history[push ? "pushState" : "replaceState"](null, "", `#${name}`),
    link: (name) => `#${name}`,
    whole: (name) => `${location.href.split("#")[0]}#${name}`,
    watch: (listener) => {
      addEventListener("popstate", listener);
      addEventListener("hashchange", listener);
    },
  };
}

/* Shows a run in `root`. `source`: see base.js. `address`: where the view is kept, by default the page's fragment. `top`:
   it is the page's only view. Gives {close, go(name)}. */
function renderRun(root, source, options) {
  const { address = ownAddress(), top = true } = options || {};
  const context = { source, index: source.index, closed: new Set(), address };
  const { index } = context;
  const placeOf = (name) => {
    const [, kind, value] = /^(turn|row)-(\d{1,9})$/.exec(name) || [];
    if (kind === "row") return index.rows[Number(value)] ? Number(value) : -1;
    return kind ? index.rows.findLastIndex((row) => row.kind === "turn" && !row.void && row.turn === Number(value)) : -1;
  };
  const facts = el("div");
  const strip = el("section.wide", { "aria-label": "Timeline" });
  const files = el("section", { "aria-label": "Files" });
  const talk = el("section.talk", { "aria-label": "Conversation" });
  const rows = el("div.rows");
  let list = null;
  const goTo = async (place, push = false) => {
    if (place < 0 || place >= index.rows.length) return null;
    address.set(rowName(index.rows[place], place), push);
    return list.go(place);
  };
  context.go = (event, place) => {
    event.preventDefault();
    goTo(place, true);
  };
  const unfolded = async (place) => {
    list.toggle(place, true);
    const element = await list.go(place, { focus: false });
    for (const block of element?.querySelectorAll(".text") || []) block.unfold?.();
    return element;
  };
  const search = searchBar(context, unfolded, (element, block) => list.hold(element, block));
  const nearest = () => {
    if (list.current() >= 0 && (!list.moved() || isSeen(list.article(list.current())))) return list.current();
    const seen = [...rows.querySelectorAll(".row")].find((row) => row.getBoundingClientRect().bottom > 120);
    return seen ? Number(seen.dataset.row) : -1;
  };
  const move = (by) => goTo(Math.max(0, Math.min(index.rows.length - 1, (list.current() < 0 ? nearest() - (by > 0 ? 1 : 0) : nearest()) + by)));
  const keys = {
    j: ["next turn", () => move(1)],
    k: ["previous turn", () => move(-1)],
    o: ["open or close this turn", () => nearest() >= 0 && list.toggle(nearest())],
    O: ["open or close all turns", () => foldAll()],
    g: ["first turn", () => goTo(0)],
    G: ["last turn", () => goTo(index.rows.length - 1)],
    "/": ["search", () => search.focus()],
    n: ["next hit", () => search.step(1)],
    N: ["previous hit", () => search.step(-1)],
    "?": ["these keys", () => showHelp(keys)],
  };
  let folded = false;
  const fold = button("Close all", () => foldAll());
  function foldAll() {
    folded = !folded;
    fold.textContent = folded ? "Open all" : "Close all";
    list.all(!folded);
  }
  const bar = el("div.bar", { role: "toolbar", "aria-label": "This run" }, button("Go to the conversation", () => goTo(0), { class: "skip" }), liveMark(index), search.element, button("?", () => showHelp(keys), { "aria-label": "Keys" }), top && themeButton());
  replace(root, bar, facts, strip, files, put(talk, el("div.talk-head", {}, el("h2", {}, "Conversation"), fold), rows));
  let listed = "";
  function showFacts() {
    renew(facts, runHead(index, context, top ? "h1" : "h2"));
    renew(strip, timeline(index.rows, (place) => goTo(place, true)));
    if (listed === (listed = JSON.stringify(index.files))) return;
    const found = fileList(index.files, source);
    replace(files, found && el("h2", {}, `Files (${number(index.files.length)})`), found);
  }
  showFacts();
  list = rowList(rows, context);
  const free = takeKeys(root, keys);
  const look = () => {
    const place = placeOf(address.get());
    if (place >= 0 && place !== list.current()) list.go(place);
  };
  address.watch(look);
  look();
  let open = true;
  if (source.poll && index.live) follow(context, list, showFacts, $(".live", bar), () => open);
  return { close: () => ((open = false), free(), list.close()), go: (name) => goTo(placeOf(name)) };
}

const isSeen = (element) => {
  if (!element) return false;
  const box = element.getBoundingClientRect();
  return box.bottom > 80 && box.top < innerHeight;
};

const liveMark = (index) => el("span.live", { hidden: !index.live, role: "status" }, index.live ? "Live" : "");

/* Asks for what is new, each second, until the run is over. */
async function follow(context, list, showFacts, mark, open) {
  const { index, source } = context;
  while (open() && index.live) {
    await pause(1000);
    const from = Math.max(0, index.rows.length - 1);
    let fresh;
    try {
      fresh = await source.poll(from);
    } catch {
      replace(mark, "The server does not answer");
      continue;
    }
    if (fresh === null) continue;
    const again = fresh.voided !== index.voided; // what was there is not as it was
    const all = again && from > 0 ? await source.poll(0) : fresh;
    if (all === null) continue;
    const start = all.after;
    const kept = index.rows.slice(0, start);
    Object.assign(index, all, { rows: [...kept, ...all.rows] });
    const atEnd = innerHeight + scrollY > document.documentElement.scrollHeight - 60;
    const grown = list.grow(start);
    showFacts();
    if (atEnd) grown.then(() => scrollTo({ top: document.documentElement.scrollHeight, behavior: "instant" }));
    const turn = index.rows.findLast((row) => row.kind === "turn")?.turn || 0;
    replace(mark, index.live ? `Live: turn ${turn}` : `Over: ${reasonText(index.stop_reason || index.status)}`);
  }
}

function runHead(index, context, heading) {
  const how = index.stop_reason ? reasonText(index.stop_reason) : { running: "Running", killed: "Cut short" }[index.status] || index.status;
  const kind = index.stop_reason === "submitted" ? "good" : index.status === "running" ? "going" : "bad";
  const usage = index.usage || {};
  const fact = (name, value, title) => (value === null || value === undefined || value === "" ? null : el("div", { title }, el("dt", {}, name), el("dd", {}, value)));
  const limit = (name) => (index.limits && index.limits[name] !== null && index.limits[name] !== undefined ? ` of ${number(index.limits[name])}` : "");
  const about = usage.estimated ? "about " : "";
  return el(
    "header.run-head",
    {},
    el("p.how", {}, el(`span.badge.${kind}`, {}, how), index.damaged ? el("span.chip.bad", {}, `${number(index.damaged)} damaged lines left out`) : null, index.error && el("span", {}, plainText(index.error))),
    el(heading, {}, index.title),
    el(
      "section.task",
      { "aria-label": "Task" },
      (typeof index.prompt !== "string" || index.prompt.trim() !== index.title) && [el("h2", {}, "Task"), textBlock(index.prompt, context, { kind: "prose", label: "task", lines: 8 })],
      documents(index.documents),
    ),
    index.answer !== undefined && el("section.answer", { "aria-label": "Answer" }, el("h2", {}, "Answer"), textBlock(index.answer, context, { kind: "prose", label: "answer", lines: 24 })),
    el(
      "dl.figures-of-run",
      {},
      fact("Turns", `${number(index.turns)}${limit("max_turns")}`),
      fact("Tokens in", usage.prompt === undefined ? null : about + number(usage.prompt), usage.cached ? `${number(usage.cached)} of them from the cache` : null),
      fact("Tokens out", usage.completion === undefined ? null : about + number(usage.completion), usage.reasoning ? `${number(usage.reasoning)} of them reasoning` : null),
      fact("Cost", index.cost === undefined ? null : `$${index.cost.toFixed(index.cost < 1 ? 4 : 2)}`),
      fact("Time", seconds(index.duration), index.model_seconds === undefined ? null : `model ${seconds(index.model_seconds)}, tools ${seconds(index.tool_seconds)}`),
      fact("Mode", index.mode),
      fact("Network", index.sandbox && index.sandbox.network),
      fact("Model", index.model),
    ),
    more(index),
  );
}

const documents = (entries) =>
  entries && entries.length
    ? el("details", {}, el("summary", {}, `${number(entries.length)} ${entries.length === 1 ? "document" : "documents"}`), el("ul.documents", {}, inParts(entries.map((entry) => el("li", {}, entry.name, el("span.facts", {}, size(entry.size)))), LISTED)))
    : null;

function more(index) {
  const settings = { ...index.limits, ...index.settings };
  const told = [
    ["task id", index.task],
    ["started", index.started ? new Date(index.started * 1000).toLocaleString("en-GB") : null],
    ["sandbox", index.sandbox && [index.sandbox.backend, index.sandbox.image].filter(Boolean).join(", ")],
    ...Object.entries(settings).map(([name, value]) => [name.replaceAll("_", " "), value]),
    ...Object.entries(index.versions || {}).map(([name, value]) => [`${name} version`, value]),
    ...Object.entries(index.origin || {}).map(([name, value]) => [`imported: ${name.replaceAll("_", " ")}`, value]),
    ["notices", index.sandbox && index.sandbox.notices],
  ].filter(([, value]) => value !== null && value !== undefined && value !== "");
  return el("details", {}, el("summary", {}, "Settings and versions"), el("dl.arguments", {}, told.map(([name, value]) => [el("dt", {}, name), el("dd", {}, String(value))])));
}

async function startRun() {
  const live = document.body.dataset.live;
  renderRun($("#page"), live === undefined ? embeddedSource() : await servedSource(live));
}
