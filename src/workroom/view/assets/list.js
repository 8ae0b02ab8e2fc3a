// The conversation as a list of which only what is near the window is in the document.

const HEIGHT = { open: 320, closed: 84 }; // pixels of a row that nobody has seen yet

const HOLD = 4000; // milliseconds
const SCROLLS = new Set(["ArrowUp", "ArrowDown", "PageUp", "PageDown", "Home", "End", " "]);

/* Fills `root` with the rows of the index. `context`: source, index, closed (rows), address. Gives {go, hold, toggle,
   current, grow, all, article, close}. A group of rows is one chunk; a group that is far away keeps its height and nothing else. */
function rowList(root, context) {
  const { index } = context;
  const groups = [];
  const urls = new Map(); // of pictures, by group element
  let current = -1;
  let held = null; // gives what stays in view while other rows come in, until one moves oneself: an element or a range
  let release = 0;
  const settle = () => {
    const place = held && held();
    if (place instanceof Range) center(place);
    else if (place) place.scrollIntoView({ block: "start", behavior: "instant" });
  };
  let moved = true;
  const letGo = (event) => {
    if (event.type === "keydown" && !SCROLLS.has(event.key)) return;
    held = null;
    moved = true;
  };
  let printing = false;
  const moves = ["wheel", "touchmove", "pointerdown", "keydown"];
  moves.forEach((name) => addEventListener(name, letGo, { passive: true, capture: true }));
  const holder = new ResizeObserver(settle);
  holder.observe(root);
  const watcher = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        const group = groups[Number(entry.target.dataset.group)];
        group.near = entry.isIntersecting;
        if (printing) continue; // nothing may go before it is on the paper
        if (group.near) fill(group);
        else if (entry.target.isConnected) empty(group);
      }
    },
    { rootMargin: "1500px 0px" },
  );

  function begin() {
    for (let start = 0; start < index.rows.length; start += index.chunk) addGroup();
  }

  function addGroup() {
    const place = groups.length;
    const element = el("div.group", { "data-group": place });
    groups.push({ place, element, near: false, filled: null, events: null, age: 0, height: 0 });
    rest(groups[place]);
    root.append(element);
    watcher.observe(element);
  }

  const isKept = (group) => group.place * index.chunk < PRINTED;

  const keep = () => keepAtHand(groups.filter(isKept), context.source, () => root.isConnected);

  const rowsOf = (group) => index.rows.slice(group.place * index.chunk, (group.place + 1) * index.chunk);

  function rest(group) {
    const guess = rowsOf(group).reduce(
      (sum, _, place) => sum + (context.closed.has(group.place * index.chunk + place) ? HEIGHT.closed : HEIGHT.open),
      0,
    );
    group.element.style.setProperty("min-height", `${group.height || guess}px`);
  }

  function putRows(group) {
    const rows = rowsOf(group);
    replace(
      group.element,
      rows.map((row, inner) => article(row, group.place * index.chunk + inner)),
    );
    return rows;
  }

  /* The rows of a group in the document; the promise is done when their events are there, too. */
  function fill(group) {
    if (group.filled) return group.filled;
    const first = group.place * index.chunk;
    const rows = putRows(group);
    const mine = context.source.chunk(`turns-${group.place}`).then(
      (chunk) => {
        if (group.filled !== mine) return;
        group.events = eventsOf(chunk);
        rows.forEach((_, place) => showBody(articleOf(first + place), first + place, group));
        group.element.style.removeProperty("min-height");
      },
      (error) => group.filled === mine && fail(group, error),
    );
    group.filled = mine;
    return mine;
  }

  /* Says in every row of a group that has nothing to show why it has not, until somebody asks again. */
  function fail(group, error) {
    group.filled = null;
    const why = `This part cannot be shown: ${error.message}. `;
    rowsOf(group).forEach((row, inner) => {
      const place = group.place * index.chunk + inner;
      const element = articleOf(place) || group.element.appendChild(article(row, place));
      const body = $(".row-body", element);
      if (body.childElementCount) return;
      const again = () => {
        fill(group);
        articleOf(place).focus({ preventScroll: true });
      };
      put(body, el("p.note.bad", {}, why, button("Try again", again)));
    });
  }

  function empty(group) {
    if (!group.filled || group.element.contains(document.activeElement)) return;
    group.height = group.element.offsetHeight;
    group.filled = null;
    if (!isKept(group)) group.events = null;
    clear(group);
  }

  function clear(group) {
    group.element.replaceChildren();
    (urls.get(group) || []).forEach((url) => URL.revokeObjectURL(url));
    urls.delete(group);
    rest(group);
  }

  function article(row, place) {
    const name = rowTitle(row);
    const element = el("article.row", {
      id: rowName(index.rows, place),
      tabindex: "-1",
      "aria-label": name,
      "data-row": place,
    });
    if (row.void) element.classList.add("void");
    if (place === current) element.classList.add("current");
    return put(element, rowHead(row, place, context), el("div.row-body"));
  }

  function showBody(element, place, group) {
    const events = group.events?.get(place) || [];
    const made = () => (context.closed.has(place) ? rowSummary(index.rows[place]) : rowBody(events, context));
    replace($(".row-body", element), guarded(made));
  }

  /* The rows of a group at once, as far as their events are at hand. */
  function draw(group) {
    putRows(group).forEach((row, inner) => {
      const place = group.place * index.chunk + inner;
      const element = articleOf(place);
      if (group.events) showBody(element, place, group);
      else replace($(".row-body", element), rowSummary(row));
    });
  }

  const printed = onPaper(
    () => {
      printing = true;
      printGroups(groups, index, draw);
    },
    () => {
      printing = false;
      for (const group of groups) {
        group.element.querySelectorAll(":scope > .paper").forEach((note) => note.remove());
        if (!group.filled) clear(group);
        if (group.near) fill(group);
        else empty(group);
      }
    },
  );

  const groupOf = (place) => groups[Math.floor(place / index.chunk)];
  const articleOf = (place) => $(`[data-row="${place}"]`, groupOf(place).element);

  function hold(place) {
    held = place;
    moved = false;
    clearTimeout(release);
    release = setTimeout(() => (held = null), HOLD);
    settle();
  }

  /* Brings a row to the top of the window, with its events. */
  async function go(place, options) {
    const { focus = true } = options || {};
    const group = groupOf(place);
    if (!group) return null;
    if (current >= 0 && groupOf(current)) articleOf(current)?.classList.remove("current");
    current = place;
    const done = fill(group);
    hold(() => articleOf(place));
    await done;
    settle();
    if (current !== place) return null;
    const element = articleOf(place);
    element?.classList.add("current");
    if (focus) element?.focus({ preventScroll: true });
    return element;
  }

  function toggle(place, wanted) {
    const closed = wanted === undefined ? !context.closed.has(place) : !wanted;
    if (closed) context.closed.add(place);
    else context.closed.delete(place);
    redraw(place);
  }

  function redraw(place) {
    const group = groupOf(place);
    const old = group.filled && articleOf(place);
    if (!old) return;
    const focused = old.contains(document.activeElement);
    const fresh = article(index.rows[place], place);
    old.replaceWith(fresh);
    showBody(fresh, place, group);
    if (focused) fresh.focus({ preventScroll: true });
  }

  /* Opens or closes every row. */
  function all(open) {
    context.closed.clear();
    if (!open) index.rows.forEach((_, place) => context.closed.add(place));
    for (const group of groups) {
      group.height = 0;
      if (group.filled) rowsOf(group).forEach((_, place) => redraw(group.place * index.chunk + place));
      else rest(group);
    }
  }

  /* Takes up rows that have come; those from `from` on are new or not as they were. The promise is done
     when what is near is drawn. */
  function grow(from) {
    while (groups.length * index.chunk < index.rows.length) addGroup();
    for (const element of root.querySelectorAll(".row")) {
      const place = Number(element.dataset.row);
      if (element.id !== rowName(index.rows, place)) redraw(place); // its number now means a later row
    }
    return Promise.all(
      groups.slice(Math.floor(from / index.chunk)).map(async (group) => {
        group.age++;
        if (!group.filled) {
          group.events = null;
          if (group.near) return fill(group);
          keep();
          return null;
        }
        const mine = (group.filled = context.source.chunk(`turns-${group.place}`));
        await mine.then(
          (chunk) => group.filled === mine && refresh(group, chunk, from),
          (error) => group.filled === mine && fail(group, error),
        );
      }),
    );
  }

  function refresh(group, chunk, from) {
    group.events = eventsOf(chunk);
    group.element.style.removeProperty("min-height");
    rowsOf(group).forEach((row, inner) => {
      const place = group.place * index.chunk + inner;
      const old = articleOf(place);
      if (old && place < from && $(".row-body", old).childElementCount) return;
      const fresh = article(row, place);
      if (old) old.replaceWith(fresh);
      else group.element.append(fresh);
      showBody(fresh, place, group);
    });
  }

  function close() {
    printed();
    watcher.disconnect();
    holder.disconnect();
    moves.forEach((name) => removeEventListener(name, letGo, { capture: true }));
  }

  context.toggle = toggle;
  context.show = (image, blob) => {
    if (!image.isConnected) return; // its row is far away by now
    const url = URL.createObjectURL(blob);
    image.src = url;
    const group = groups[Number(image.closest(".group")?.dataset.group)];
    if (group) urls.set(group, [...(urls.get(group) || []), url]);
  };
  begin();
  keep();
  return { go, hold, toggle, all, grow, article: articleOf, current: () => current, moved: () => moved, close };
}
