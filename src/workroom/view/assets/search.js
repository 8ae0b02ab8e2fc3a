// Search in all texts of a run, chunk by chunk, so that the page stays at hand meanwhile.

const STRETCH = 2 << 20; // characters looked through before the page has its turn
const HIGHLIGHTED = 2000; // hits at most

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

/* The search of a run. `onHits(hits, done)`: rows with how often each of their texts has it, as they are found:
   [{row, count, texts: [[name, count], ...]}, ...]. Gives {find(query), renew(from)}: what is from that row on is new. */
function searcher(context, onHits) {
  const { index, source } = context;
  let run = 0;
  let hits = [];
  let query = "";
  let reached = 0; // the first row that has not been searched
  async function search(from) {
    const mine = ++run;
    const alive = () => mine === run;
    hits = hits.filter((hit) => hit.row < from);
    reached = from;
    if (!query) return onHits(hits, true);
    const pattern = patternOf(query);
    for (let chunk = Math.floor(from / index.chunk); chunk * index.chunk < index.rows.length && alive(); chunk++) {
      const { rows } = await source.chunk(`turns-${chunk}`);
      if (!alive()) return;
      for (const row of rows) {
        if (row.row < reached || row.row >= index.rows.length) continue;
        const texts = [];
        for (const [name, text] of inOrder(row.events).flatMap(textsOf)) {
          const whole = typeof text === "string" ? text : await source.text(text.chunk);
          const count = await occurrences(pattern, whole, alive, query.length);
          if (!alive()) return;
          if (count) texts.push([name, count]);
        }
        if (texts.length) hits.push({ row: row.row, count: texts.reduce((sum, [, count]) => sum + count, 0), texts });
        reached = row.row + 1;
      }
      onHits(hits, false);
      await pause();
    }
    if (alive()) onHits(hits, true);
  }
  return {
    find(wanted) {
      query = wanted;
      return search(0);
    },
    renew: (from) => search(Math.min(from, reached)),
  };
}

/* What an element shows of a text: {text, gap, range(start, end)}. Marks are the characters that they stand for; `gap` is
   where something is left out. Of the lines of an edit, only those of this text count. */
function shownText(element, name) {
  const [first, second] = element.dataset.text.split(" ");
  const others = second && first === name ? ".line.in" : ".line.out";
  const nodes = [];
  const starts = [];
  let text = "";
  let gap = Infinity;
  const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const parent = node.parentElement;
    if (parent.closest(`.sign, .ending, .unseen, .more, ${others}`)) continue;
    nodes.push(node);
    starts.push(text.length);
    if (parent.className === "gap") gap = text.length;
    if (parent.className === "mark") text += String.fromCodePoint(Number.parseInt(parent.title.slice(2), 16));
    else text += parent.className === "gap" ? "\0" : node.data;
  }
  const place = (offset) => {
    let low = 0;
    for (let high = nodes.length - 1; low < high; ) {
      const middle = (low + high + 1) >> 1;
      if (starts[middle] <= offset) low = middle;
      else high = middle - 1;
    }
    return [nodes[low], Math.min(nodes[low].length, offset - starts[low])];
  };
  const range = (start, end) => {
    const made = document.createRange();
    made.setStart(...place(start));
    const [node, offset] = place(end - 1);
    made.setEnd(node, Math.min(node.length, offset + 1));
    return made;
  };
  return { text, gap, range };
}

/* The element that shows a text of a row. What comes in parts is shown as far as it is needed. */
async function elementOf(name, body) {
  for (;;) {
    const element = $(`[data-text~="${name}"]`, body);
    const more = $(":scope > .more", body);
    if (element || !more) return element;
    more.click();
    await pause();
  }
}

/* Where hit `wanted` of `count` in a text is shown, as a range; where it is left out, the place of that. */
async function rangeOf(name, wanted, count, query, body) {
  const whole = (place) => {
    const range = document.createRange();
    range.selectNodeContents(place);
    return range;
  };
  const element = await elementOf(name, body);
  if (!element) return whole(body);
  element.closest(".text")?.unfold?.();
  for (;;) {
    const { text, gap, range } = shownText(element, name);
    const found = [...text.matchAll(patternOf(query))].map((one) => [one.index, one.index + one[0].length]);
    const before = found.filter(([start]) => start < gap).length;
    if (wanted < before) return range(...found[wanted]);
    if (count - wanted <= found.length - before) return range(...found.at(wanted - count));
    const more = $(".more", element);
    if (!more) return whole($(".gap", element) || element);
    more.click();
    await pause();
  }
}

/* Where the query is in what is shown of a row, as ranges. */
function rangesIn(body, texts, query) {
  const ranges = [];
  for (const [name] of texts) {
    const element = $(`[data-text~="${name}"]`, body);
    if (!element) continue;
    const { text, range } = shownText(element, name);
    for (const found of text.matchAll(patternOf(query))) {
      if (ranges.length === HIGHLIGHTED) return ranges;
      ranges.push(range(found.index, found.index + found[0].length));
    }
  }
  return ranges;
}

function highlight(name, ranges) {
  if (typeof Highlight === "undefined") return;
  if (ranges.length) CSS.highlights.set(name, new Highlight(...ranges));
  else CSS.highlights.delete(name);
}

/* The bar to search with. `show(row)`: brings the row there, and gives its element. `hold(place)`: keeps the range that
   `place()` gives in view. Gives {element, focus, step(by), renew(from)}. */
function searchBar(context, show, hold) {
  let hits = [];
  let total = 0;
  let current = -1;
  let query = "";
  let timer = 0;
  let done = true;
  let owed = 0; // the step that was asked for before the hit that it leads to was found
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
    if (done) current = Math.min(current, total - 1);
    tell();
    if (owed) step(owed);
  });
  function tell() {
    const place = current >= 0 ? `${number(current + 1)} of ` : "";
    const count = total === 1 ? "1 hit" : `${number(total)} hits`;
    const text = query ? `${place}${count}${done ? "" : " …"}` : "";
    if (told.textContent !== text) replace(told, text);
    for (const one of steps) one.hidden = !total;
  }
  const stopped = (error) => replace(told, `The search stopped: ${error.message}`);
  function begin() {
    query = input.value;
    current = -1;
    hits = [];
    total = 0;
    done = false;
    owed = 0;
    highlight("found", []);
    highlight("here", []);
    search.find(query).catch(stopped);
  }
  async function step(by) {
    const known = current + by >= 0 && current + by < total;
    owed = done || known ? 0 : by;
    if (owed || !total) return;
    current = current < 0 && by < 0 ? total - 1 : (current + by + total) % total;
    tell();
    const [wanted, asked] = [current, query];
    let left = current;
    const within = (count) => left < count || ((left -= count), false);
    const hit = hits.find((one) => within(one.count));
    const [name, count] = hit.texts.find(([, most]) => within(most));
    const element = await show(hit.row);
    if (!element) return;
    const body = $(".row-body", element);
    const range = await rangeOf(name, left, count, asked, body);
    if (current !== wanted || query !== asked) return; // it went on meanwhile
    highlight("found", rangesIn(body, hit.texts, asked));
    highlight("here", [range]);
    hold(() => range);
  }
  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(begin, 200);
  });
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter") {
      event.preventDefault();
      clearTimeout(timer);
      if (input.value !== query) begin();
      step(event.shiftKey ? -1 : 1);
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
  const renew = (from) => query && search.renew(from).catch(stopped);
  return { element, focus: () => input.select() || input.focus(), step, renew };
}
