// The page of a run.

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
    return kind ? turnPlace(index.rows, Number(value)) : -1;
  };
  const facts = el("div");
  const strip = el("section.wide", { "aria-label": "Timeline" });
  const files = el("section", { "aria-label": "Files" });
  const talk = el("section.talk", { "aria-label": "Conversation" });
  const rows = el("div.rows");
  let list = null;
  const goTo = async (place, push = false) => {
    if (place < 0 || place >= index.rows.length) return null;
    address.set(rowName(index.rows, place), push);
    return list.go(place);
  };
  context.go = (event, place) => {
    event.preventDefault();
    goTo(place, true);
  };
  const opened = (place) => {
    if (context.closed.has(place)) list.toggle(place, true);
    return list.go(place, { focus: false });
  };
  const search = searchBar(context, opened, (place) => list.hold(place));
  const nearest = () => {
    if (list.current() >= 0 && (!list.moved() || isSeen(list.article(list.current())))) return list.current();
    const seen = [...rows.querySelectorAll(".row")].find((row) => row.getBoundingClientRect().bottom > 120);
    return seen ? Number(seen.dataset.row) : -1;
  };
  const move = (by) =>
    goTo(
      Math.max(
        0,
        Math.min(index.rows.length - 1, (list.current() < 0 ? nearest() - (by > 0 ? 1 : 0) : nearest()) + by),
      ),
    );
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
  const bar = el(
    "div.bar",
    { role: "toolbar", "aria-label": "This run" },
    button("Go to the conversation", () => goTo(0), { class: "skip" }),
    liveMark(index),
    search.element,
    button("?", () => showHelp(keys), { "aria-label": "Keys" }),
    top && themeButton(),
  );
  replace(root, bar, facts, strip, files, put(talk, el("div.talk-head", {}, el("h2", {}, "Conversation"), fold), rows));
  let listed = "";
  function showFacts() {
    renew(facts, runHead(index, context, top ? "h1" : "h2"));
    renew(
      strip,
      timeline(index.rows, (place) => goTo(place, true)),
    );
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
  const grow = (from) => {
    search.renew(from);
    return list.grow(from);
  };
  if (source.poll && index.live) follow(context, grow, showFacts, $(".live", bar), () => open);
  return { close: () => ((open = false), free(), list.close()), go: (name) => goTo(placeOf(name)) };
}

const isSeen = (element) => {
  if (!element) return false;
  const box = element.getBoundingClientRect();
  return box.bottom > 80 && box.top < innerHeight;
};

const liveMark = (index) => el("span.live", { hidden: !index.live, role: "status" }, index.live ? "Live" : "");

/* Asks for what is new, each second, until the run is over. */
async function follow(context, grow, showFacts, mark, open) {
  const { index, source } = context;
  const tell = () => {
    const turn = index.rows.findLast((row) => row.kind === "turn")?.turn || 0;
    const text = index.live ? `Live: turn ${turn}` : `Over: ${reasonText(index.stop_reason || index.status)}`;
    if (mark.textContent !== text) replace(mark, text);
  };
  while (open() && index.live) {
    await pause(1000);
    try {
      const fresh = await news(index, source);
      if (fresh) {
        const atEnd = innerHeight + scrollY > document.documentElement.scrollHeight - 60;
        Object.assign(index, fresh, { rows: [...index.rows.slice(0, fresh.after), ...fresh.rows] });
        const grown = grow(fresh.after);
        showFacts();
        if (atEnd) grown.then(() => scrollTo({ top: document.documentElement.scrollHeight, behavior: "instant" }));
      }
      tell();
    } catch {
      replace(mark, "The server does not answer");
    }
  }
}

/* The index with the rows that are new or may have changed, null where nothing has. */
async function news(index, source) {
  const fresh = await source.poll(Math.max(0, index.rows.length - 1));
  if (fresh && fresh.bytes < index.bytes) location.reload(); // another run took its place
  return fresh && fresh.voided !== index.voided ? source.poll(0, true) : fresh;
}

async function startRun() {
  const live = document.body.dataset.live;
  renderRun($("#page"), live === undefined ? embeddedSource() : await servedSource(live));
}
