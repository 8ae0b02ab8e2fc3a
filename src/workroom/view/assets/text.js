// Texts that models and sandboxes made: shown, never obeyed.

const HIDDEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0\u{e0100}-\u{e01ef}]/u;
const EACH_HIDDEN = new RegExp(`(?![\\n\\t])${HIDDEN.source}`, "gu");
const MARKS = 1000; // of a text that become elements
const NAMES = { "\u001b": "ESC", "\u0000": "NUL", "\u0007": "BEL", "\u0008": "BS", "\r": "CR", "\u007f": "DEL" };
const PART = 64 << 10; // characters of a long text that are shown at a time
const FOLD = 14; // lines

const escaped = (char) => `\\u{${char.codePointAt(0).toString(16)}}`;

/* The text with escapes in the place of what cannot be seen. */
const harmless = (text) => text.replaceAll("\r\n", "\n").replace(EACH_HIDDEN, escaped);

/* The text as a node in which control, bidirectional and zero-width characters are marks that can be seen. */
function shown(text) {
  const plain = text.replaceAll("\r\n", "\n");
  const fragment = document.createDocumentFragment();
  let from = 0;
  let count = 0;
  EACH_HIDDEN.lastIndex = 0;
  for (const found of plain.matchAll(EACH_HIDDEN)) {
    if (++count > MARKS) {
      fragment.append(harmless(plain.slice(from)));
      return fragment;
    }
    if (found.index > from) fragment.append(plain.slice(from, found.index));
    fragment.append(mark(found[0]));
    from = found.index + found[0].length;
  }
  if (from < plain.length) fragment.append(plain.slice(from));
  return fragment;
}

function mark(char) {
  const code = `U+${char.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`;
  const element = document.createElement("span");
  element.className = "mark";
  element.title = code;
  element.textContent = NAMES[char] || code;
  return element;
}

const lineCount = (text) => {
  let count = 1;
  for (let place = text.indexOf("\n"); place >= 0 && place < text.length - 1; place = text.indexOf("\n", place + 1))
    count++;
  return count;
};

/* The place, or the one before it where it is within a pair of code units that are one character. */
const between = (text, place) =>
  /^[\ud800-\udbff][\udc00-\udfff]$/.test(text.slice(Math.max(0, place - 1), place + 1)) ? place - 1 : place;

/* How many characters a text has, as Python counts them. */
const characters = (text) => text.length - (text.match(/[\ud800-\udbff][\udc00-\udfff]/g) || []).length;

/* The first `lines` lines, at most `most` characters of them. */
function beginning(text, lines, most = 3000) {
  let place = -1;
  for (let line = 0; line < lines; line++) {
    place = text.indexOf("\n", place + 1);
    if (place < 0) return text.slice(0, between(text, most));
  }
  return text.slice(0, between(text, Math.min(place, most)));
}

/* A text as it stands, folded where it is long, with its full text at hand. `value`: a text, or what stands for a long one.
   `paint(text)` gives its node. `name`: see `textsOf`. The element's `unfold()` shows it all. */
function textBlock(value, context, options) {
  const { kind = "plain", lines = FOLD, label = "text", paint = shown, name } = options || {};
  const long = typeof value === "object" && value !== null;
  const body = el(`pre.${kind}`, { role: "group", "aria-label": label, "data-text": name });
  const full = async () => (long ? context.source.text(value.chunk) : value);
  const block = el(
    "div.text",
    {},
    body,
    button("Copy", async () => copy(harmless(await full()), label), {
      class: "copy",
      "aria-label": `Copy the ${label}`,
    }),
  );
  const tools = el("div.tools");
  if (long) {
    block.append(tools);
    replace(
      body,
      shown(value.head),
      el("span.gap", {}, ` … ${number(value.length - characters(value.head) - characters(value.tail))} characters … `),
      shown(value.tail),
    );
    tools.append(
      button(`Show all ${number(value.length)} characters`, () => showParts(full, label)),
      button("Save", async () =>
        download(new Blob([await full()], { type: "text/plain" }), `${label.replaceAll(" ", "-")}.txt`),
      ),
    );
    block.unfold = () => {};
    return block;
  }
  const head = beginning(value, lines);
  if (value.length - head.length < 200 && lineCount(value) <= lines + 3) {
    body.append(paint(value));
    block.unfold = () => {};
    return block;
  }
  let open = false;
  const count = lineCount(value);
  const toggle = button("", () => set(!open), { "aria-expanded": "false" });
  function set(wanted) {
    open = wanted;
    replace(body, paint(open ? value : head), open ? null : el("span.gap", {}, "\n…"));
    toggle.textContent = open
      ? "Show less"
      : count > lines
        ? `Show all ${number(count)} lines`
        : `Show all ${number(value.length)} characters`;
    toggle.setAttribute("aria-expanded", String(open));
  }
  set(false);
  block.append(put(tools, toggle));
  block.unfold = () => set(true);
  return block;
}

/* A very long text in a dialog, in parts, so that no browser has to lay out all of it. */
async function showParts(full, label) {
  let part = 0;
  const body = el("pre.plain", { tabindex: "0", role: "group", "aria-label": label });
  const place = el("span", { role: "status" }, "Opening …");
  const back = button("Previous part", () => show(part - 1));
  const next = button("Next part", () => show(part + 1));
  const dialog = el(
    "dialog.parts",
    { "aria-label": label, close: () => dialog.remove() },
    el(
      "div.tools",
      {},
      place,
      back,
      next,
      button("Close", () => dialog.close()),
    ),
    body,
  );
  document.body.append(dialog);
  dialog.showModal();
  const text = await full();
  const parts = Math.ceil(text.length / PART);
  const start = (wanted) => between(text, wanted * PART);
  function show(wanted) {
    part = Math.max(0, Math.min(parts - 1, wanted));
    replace(body, text.slice(start(part), start(part + 1)));
    body.scrollTop = 0;
    replace(place, `Part ${number(part + 1)} of ${number(parts)}`);
    back.disabled = part === 0;
    next.disabled = part === parts - 1;
  }
  show(0);
}
