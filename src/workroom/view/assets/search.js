// Search in all texts of a run, chunk by chunk, so that the page stays at hand meanwhile.

const STRETCH = 2 << 20; // characters looked through before the page has its turn

/* How often the pattern is in a text. */
async function occurrences(pattern, text, alive, overlap) {
  let count = 0;
  for (let start = 0; start < text.length && alive(); start += STRETCH) {
    const end = Math.min(text.length, start + STRETCH + overlap);
    for (const found of text.slice(start, end).matchAll(pattern)) if (found.index < STRETCH) count++;
    if (end < text.length) await pause();
  }
  return count;
}

const patternOf = (query) => new RegExp(query.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&"), "giu");

/* The texts of an event, in the order in which they are shown; long ones as what stands for them. */
function textsOf(event) {
  const texts = [event.reasoning, event.content];
  for (const message of event.messages || []) texts.push(texted(message.content));
  for (const call of event.calls || [])
    texts.push(call.name, call.raw, ...Object.values(call.values || {}).map(texted));
  texts.push(event.observation, event.text, event.error, event.host);
  return texts.filter((text) => text);
}

/* The search of a run. `onHits(rows, done)`: rows with a number of hits, as they are found. Gives {find, stop}. */
function searcher(context, onHits) {
  let run = 0;
  async function find(query) {
    const mine = ++run;
    const alive = () => mine === run;
    const hits = [];
    if (!query) return onHits(hits, true);
    const pattern = patternOf(query);
    for (let chunk = 0; chunk * context.index.chunk < context.index.rows.length && alive(); chunk++) {
      const { rows } = await context.source.chunk(`turns-${chunk}`);
      for (const row of rows) {
        let count = 0;
        for (const text of row.events.flatMap(textsOf)) {
          const whole = typeof text === "string" ? text : await context.source.text(text.chunk);
          count += await occurrences(pattern, whole, alive, query.length);
          if (!alive()) return;
        }
        if (count) hits.push({ row: row.row, count });
      }
      onHits(hits, false);
      await pause();
    }
    if (alive()) onHits(hits, true);
  }
  return { find, stop: () => run++ };
}

/* Where the query is within an element, as ranges. */
function rangesIn(element, query) {
  const pattern = patternOf(query);
  const ranges = [];
  const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
  const nodes = [];
  let text = "";
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    nodes.push([text.length, node]);
    text += node.data;
  }
  let at = 0;
  const place = (offset) => {
    while (at + 1 < nodes.length && nodes[at + 1][0] <= offset) at++;
    return [nodes[at][1], offset - nodes[at][0]];
  };
  for (const found of text.matchAll(pattern)) {
    const range = document.createRange();
    range.setStart(...place(found.index));
    const [node, offset] = place(found.index + found[0].length - 1);
    range.setEnd(node, Math.min(node.length, offset + 1));
    ranges.push(range);
    if (ranges.length === 2000) break;
  }
  return ranges;
}

function highlight(name, ranges) {
  if (typeof Highlight === "undefined") return;
  if (ranges.length) CSS.highlights.set(name, new Highlight(...ranges));
  else CSS.highlights.delete(name);
}

/* The bar to search with. `show(row)`: brings the row there, and gives its element with every text in it unfolded.
   `hold(place)`: keeps the range that `place()` gives in view. */
function searchBar(context, show, hold) {
  let hits = [];
  let total = 0;
  let current = -1;
  let query = "";
  let timer = 0;
  let done = true;
  const input = el("input", {
    type: "search",
    placeholder: "Search all texts",
    "aria-label": "Search all texts of this run",
    autocomplete: "off",
    spellcheck: "false",
  });
  const told = el("span.count", { role: "status" });
  const search = searcher(context, (found, finished) => {
    hits = found.slice();
    total = hits.reduce((sum, hit) => sum + hit.count, 0);
    done = finished;
    tell();
  });
  function tell() {
    const place = current >= 0 ? `${number(current + 1)} of ` : "";
    const count = total === 1 ? "1 hit" : `${number(total)} hits`;
    replace(told, query ? `${place}${count}${done ? "" : " …"}` : "");
    for (const one of steps) one.hidden = !total;
  }
  function begin() {
    query = input.value;
    current = -1;
    hits = [];
    total = 0;
    highlight("found", []);
    highlight("here", []);
    search.find(query).catch((error) => replace(told, `The search stopped: ${error.message}`));
  }
  async function step(by) {
    if (!total) return;
    current = current < 0 && by < 0 ? total - 1 : (current + by + total) % total;
    tell();
    let left = current;
    const hit = hits.find((one) => (left < one.count ? true : ((left -= one.count), false)));
    const element = await show(hit.row);
    if (!element) return;
    const ranges = rangesIn($(".row-body", element), query);
    highlight("found", ranges);
    const range = ranges[Math.min(left, ranges.length - 1)];
    highlight("here", range ? [range] : []);
    if (range) hold(() => range);
  }
  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(begin, 200);
  });
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter") {
      event.preventDefault();
      if (input.value !== query) {
        clearTimeout(timer);
        begin();
      } else step(event.shiftKey ? -1 : 1);
    } else if (event.key === "Escape") {
      input.value = "";
      begin();
      input.blur();
    }
  });
  const steps = [
    button("↑", () => step(-1), { "aria-label": "Previous hit", hidden: true }),
    button("↓", () => step(1), { "aria-label": "Next hit", hidden: true }),
  ];
  const element = el("search.search", {}, input, told, steps);
  return { element, focus: () => input.select() || input.focus(), step };
}
