// What every page needs: elements without markup, data sources, theme, keys, addresses.

const $ = (selector, root = document) => root.querySelector(selector);

/* An element. `name` is a tag with classes ("div.a.b"). Attributes that are functions are listeners; null, undefined and
   false are left out. Texts among the children are shown with what is invisible in them made visible, and never parsed. */
function el(name, attributes, ...children) {
  const [tag, ...classes] = name.split(".");
  const element = document.createElement(tag);
  if (classes.length) element.className = classes.join(" ");
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(key, value);
    else element.setAttribute(key, value === true ? "" : value);
  }
  put(element, ...children);
  return element;
}

function put(element, ...children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false || child === "") continue;
    element.append(child instanceof Node ? child : shown(String(child)));
  }
  return element;
}

function replace(element, ...children) {
  element.replaceChildren();
  return put(element, ...children);
}

function vector(name, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  for (const child of children) element.append(child);
  return element;
}

function button(label, action, attributes) {
  return el("button", { type: "button", click: action, ...attributes }, label);
}

/* What `make` makes of each item, when it is asked for. */
function* each(items, make) {
  for (const item of items) yield make(item);
}

/* The next ones of an iterator. */
function taken(iterator, most) {
  const found = [];
  for (let next; found.length < most && !(next = iterator.next()).done; ) found.push(next.value);
  return found;
}

/* The first of very many elements, with a button that shows more of them, which are made then. `elements`: an iterator
   of `count` of them. */
function inParts(elements, count, most) {
  let left = count;
  const next = () => {
    left -= most;
    return taken(elements, most);
  };
  const more = button(
    "",
    () => {
      more.before(...put(document.createDocumentFragment(), next()).childNodes);
      tell();
    },
    { class: "more" },
  );
  const tell = () => (left > 0 ? replace(more, `Show more: ${number(left)} are left`) : more.remove());
  const first = next();
  if (left <= 0) return first;
  tell();
  return [...first, more];
}

/* What `make` gives, or a note where it fails: what cannot be shown costs nothing beside it. */
function guarded(make) {
  try {
    return make();
  } catch (error) {
    return el("p.note.bad", {}, `This cannot be shown: ${error.message}`);
  }
}

/* New children in the place of the old ones; what was opened stays open, and the focus where it was. */
function renew(element, ...children) {
  const name = (details) => $("summary", details)?.textContent.replace(/[\d,]+/g, "");
  const open = new Set([...element.querySelectorAll("details[open]")].map(name));
  const focused =
    document.activeElement?.tagName === "SUMMARY" &&
    element.contains(document.activeElement) &&
    name(document.activeElement.parentElement);
  replace(element, ...children);
  for (const details of element.querySelectorAll("details")) {
    if (open.has(name(details))) details.open = true;
    if (focused && focused === name(details)) $("summary", details).focus({ preventScroll: true });
  }
}

/* Brings a range to the middle of what scrolls around it. */
function center(range) {
  if (!range.startContainer.isConnected) return;
  let scroller = range.startContainer.parentElement;
  while (
    scroller &&
    !(scroller.scrollHeight > scroller.clientHeight && /auto|scroll/.test(getComputedStyle(scroller).overflowY))
  ) {
    scroller = scroller.parentElement;
  }
  const view = scroller ? scroller.getBoundingClientRect() : { top: 0, height: innerHeight };
  const box = range.getBoundingClientRect();
  (scroller || document.scrollingElement).scrollBy({ top: box.top - view.top - view.height / 2, behavior: "instant" });
}

const pause = (milliseconds = 0) => new Promise((done) => setTimeout(done, milliseconds));

// Theme

const THEMES = ["auto", "light", "dark"];

function remembered(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null; // a page in a frame or a file may have no storage
  }
}

function themeButton() {
  let theme = THEMES.includes(remembered("workroom-theme")) ? remembered("workroom-theme") : "auto";
  const self = button("", () => {
    theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
    apply();
  });
  function apply() {
    document.documentElement.dataset.theme = theme;
    self.textContent = { auto: "◐", light: "○", dark: "●" }[theme];
    self.setAttribute("aria-label", `Colours: ${theme}`);
    self.title = `Colours: ${theme}`;
    try {
      localStorage.setItem("workroom-theme", theme);
    } catch {
      // as above
    }
  }
  apply();
  return self;
}

// Keys. A view gives {key: [what it does, action]}; `?` shows them all.

function takeKeys(root, keys) {
  const listener = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || !root.isConnected) return;
    if ($("dialog[open]")) return;
    if (event.target.closest("input, textarea, select, [contenteditable]")) return;
    const found = keys[event.key];
    if (!found) return;
    event.preventDefault();
    found[1](event);
  };
  document.addEventListener("keydown", listener);
  return () => document.removeEventListener("keydown", listener);
}

function showHelp(keys) {
  const rows = Object.entries(keys).map(([key, [label]]) =>
    el("tr", {}, el("th", { scope: "row" }, el("kbd", {}, key)), el("td", {}, label)),
  );
  const dialog = el(
    "dialog.help",
    { "aria-label": "Keys", close: () => dialog.remove() },
    el("h2", {}, "Keys"),
    el("table", {}, el("tbody", {}, rows)),
    button("Close", () => dialog.close()),
  );
  document.body.append(dialog);
  dialog.showModal();
}

/* Says something to those who listen to the page. */
function announce(text) {
  let place = $("#announcements");
  if (!place) {
    place = el("div.unseen", { id: "announcements", role: "status", "aria-live": "polite" });
    document.body.append(place);
  }
  replace(place, text);
}

async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = el("textarea.unseen", { "aria-hidden": "true" }); // where there is no clipboard for pages
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  announce(`${what} copied`);
}

function download(blob, name) {
  const address = URL.createObjectURL(blob);
  const link = el("a", { href: address, download: harmless(name).split("/").pop() || "file" });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

// Figures

const number = (value) => (value === null || value === undefined ? "–" : Math.round(value).toLocaleString("en"));
const short = (value) =>
  value < 10_000
    ? number(value)
    : value < 1e6
      ? `${(value / 1e3).toFixed(value < 1e5 ? 1 : 0)}k`
      : `${(value / 1e6).toFixed(2)}M`;

function seconds(value) {
  if (value === null || value === undefined) return "–";
  if (value < 0.0995) return `${Math.round(value * 1000)} ms`;
  if (value < 59.95) return `${value.toFixed(value < 9.95 ? 1 : 0)} s`;
  const whole = Math.round(value);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

function size(bytes) {
  if (bytes === null || bytes === undefined) return "";
  if (bytes < 1000) return `${bytes} B`;
  for (const [unit, factor] of [
    ["kB", 1e3],
    ["MB", 1e6],
    ["GB", 1e9],
  ]) {
    if (bytes < factor * 999.5 || unit === "GB") return `${(bytes / factor).toPrecision(3)} ${unit}`;
  }
}

function openPage() {
  const begin = { run: startRun, bench: typeof startBench === "undefined" ? null : startBench }[
    document.body.dataset.kind
  ];
  begin().catch((error) => replace($("#page"), el("h1", {}, "This page cannot be shown"), el("p", {}, error.message)));
}
