// The files that a run left, with previews that run nothing.

const OPEN_AT_ONCE = 6; // files
const ASKED = new Set(["text/html", "image/svg+xml"]); // may take a browser long to draw: only when asked for
const LISTED = 100; // at first
const TABLE = { rows: 200, columns: 40, characters: 500 };
const TEXT = 4 << 20; // bytes of a text or an HTML file that is shown

function fileList(entries, source) {
  if (!entries.length) return null;
  const watcher = new IntersectionObserver(
    (found) => {
      for (const one of found) {
        if (!one.isIntersecting) continue;
        watcher.unobserve(one.target);
        one.target.preview();
      }
    },
    { rootMargin: "300px" },
  );
  const open = entries.length <= OPEN_AT_ONCE;
  return el(
    "div.files",
    {},
    inParts(
      each(entries, (entry) => fileEntry(entry, source, watcher, open)),
      entries.length,
      LISTED,
    ),
  );
}

function fileEntry(entry, source, watcher, open) {
  const place = el("div.preview");
  const here = source.has(entry);
  const details = el(
    "details.file",
    {},
    el(
      "summary",
      {},
      el("span.name", {}, entry.path),
      el("span.facts", {}, `${entry.kind === "other" ? "file" : entry.kind}, ${size(entry.size)}`),
    ),
    el(
      "div.tools",
      {},
      here &&
        button("Save", async () => download(await source.file(entry), entry.path), {
          "aria-label": `Save ${harmless(entry.path)}`,
        }),
      entry.sha256 && el("span.digest", {}, `SHA-256 ${entry.sha256.slice(0, 16)}…`),
      entry.sha256 &&
        button("Copy", () => copy(entry.sha256, "SHA-256"), {
          "aria-label": `Copy the SHA-256 of ${harmless(entry.path)}`,
        }),
    ),
    here
      ? place
      : el("p.note", {}, "Not in this page: it is larger than what goes into one. It is in the directory of the run."),
  );
  let begun = false;
  place.preview = async () => {
    if (begun) return;
    begun = true;
    try {
      put(place, await preview(entry, source));
    } catch (error) {
      put(place, el("p.note.bad", {}, `It cannot be shown: ${error.message}`));
    }
  };
  if (here && ASKED.has(entry.media_type)) {
    const show = button("Show it", () => show.replaceWith(place) || place.preview(), {
      "aria-label": `Show ${harmless(entry.path)}`,
    });
    place.replaceWith(show);
  } else if (here) {
    details.addEventListener("toggle", () => details.open && watcher.observe(place));
  }
  details.open = open;
  return details;
}

async function preview(entry, source) {
  const address = source.address(entry);
  const media = async () => address || URL.createObjectURL(await source.file(entry));
  const bad = (element) => {
    element.addEventListener("error", () =>
      element.replaceWith(el("p.note.bad", {}, `This browser cannot show it as ${entry.kind}.`)),
    );
    return element;
  };
  if (entry.kind === "image") return bad(el("img", { src: await media(), alt: harmless(entry.path) }));
  if (entry.kind === "audio" || entry.kind === "video")
    return bad(
      el(entry.kind, { src: await media(), controls: true, preload: "metadata", "aria-label": harmless(entry.path) }),
    );
  if (!["html", "table", "text"].includes(entry.kind)) return el("p.note", {}, "There is no preview of such a file.");
  if (entry.kind === "html" && address) return withScripts(entry, address);
  if (entry.size > TEXT) return el("p.note", {}, "It is too large for a preview.");
  const text = await (await source.file(entry)).text();
  if (entry.kind === "html") {
    return [
      el(
        "p.note",
        {},
        "Shown without its scripts and without anything from elsewhere. Save it to open it by itself; workroom view --serve shows it with scripts, shut off from all else.",
      ),
      frame(entry, { srcdoc: quiet(text), sandbox: "" }),
    ];
  }
  if (entry.kind === "table") return table(text, entry.path.toLowerCase().endsWith(".tsv") ? "\t" : ",");
  return textBlock(
    text.length > PART
      ? {
          head: text.slice(0, between(text, 12_000)),
          tail: text.slice(between(text, text.length - 4000)),
          length: characters(text),
          chunk: entry.chunk,
        }
      : text,
    { source: { text: async () => text } },
    { label: entry.path },
  );
}

const LOUD = "script, link, base, meta[http-equiv], iframe, frame, object, embed, template";
const LEADING = ["href", "xlink:href", "ping", "action", "formaction"]; // attributes that lead elsewhere

/* The markup without what could ask for something from elsewhere in spite of the policy that it is shown under, such as a
   connection made ahead, and without links, which browsers connect to before they ask the policy. It is parsed in a document of its own, in which nothing is run or fetched. */
function quiet(text) {
  const parsed = new DOMParser().parseFromString(text, "text/html");
  for (const element of parsed.querySelectorAll(LOUD)) element.remove();
  for (const element of parsed.querySelectorAll("*")) {
    for (const name of LEADING)
      if (!/^(#|data:|$)/.test(element.getAttribute(name) || "")) element.removeAttribute(name);
  }
  const control = parsed.createElement("meta");
  control.setAttribute("http-equiv", "x-dns-prefetch-control");
  control.setAttribute("content", "off");
  parsed.head.prepend(control);
  return `<!doctype html>${parsed.documentElement.outerHTML}`;
}

/* Served HTML, whose scripts run only when asked for: no policy keeps them from every network. */
function withScripts(entry, address) {
  const shown = (sandbox) => frame(entry, { src: address, sandbox });
  const place = el("div", {}, shown(""));
  const run = button("Run its scripts", () => replace(place, shown("allow-scripts")), {
    "aria-label": `Run the scripts of ${harmless(entry.path)}`,
  });
  const what = "They reach neither this page nor any file, but may tell a computer elsewhere what is in this one.";
  return [el("p.note", {}, run, ` ${what}`), place];
}

const frame = (entry, attributes) =>
  el("iframe", {
    title: `${harmless(entry.path)}, shut off from this page`,
    referrerpolicy: "no-referrer",
    loading: "lazy",
    ...attributes,
  });

function table(text, separator) {
  const rows = separated(text, separator, TABLE.rows + 1);
  const isLong = (cell) => cell.length > TABLE.characters;
  const beginningOf = (cell) => (isLong(cell) ? [cell.slice(0, between(cell, TABLE.characters)), el("span.gap", {}, "…")] : cell);
  const cells = (row, name) =>
    row.slice(0, TABLE.columns).map((cell) => el(name, name === "th" ? { scope: "col" } : {}, beginningOf(cell)));
  const body = rows.slice(1, TABLE.rows).map((row) => el("tr", {}, cells(row, "td")));
  const there = rows.slice(0, TABLE.rows);
  const parts = [
    rows.length > TABLE.rows && `${TABLE.rows} rows`,
    there.some((row) => row.length > TABLE.columns) && `${TABLE.columns} columns`,
    there.some((row) => row.slice(0, TABLE.columns).some(isLong)) && `${TABLE.characters} characters of a cell`,
  ].filter(Boolean);
  const more = parts.length
    ? el("p.note", {}, `The first ${parts.join(", the first ")}. Save the file to have all.`)
    : null;
  return [
    el(
      "div.scroll",
      { tabindex: "0", role: "group", "aria-label": "Table" },
      el("table.figures", {}, el("thead", {}, el("tr", {}, cells(rows[0] || [], "th"))), el("tbody", {}, body)),
    ),
    more,
  ];
}

/* The first rows of a text of separated values; quotes as in RFC 4180. */
function separated(text, separator, most) {
  const rows = [];
  let row = [];
  let cell = "";
  let quoted = false;
  for (let place = 0; place < text.length && rows.length < most; place++) {
    const char = text[place];
    if (quoted) {
      if (char !== '"') cell += char;
      else if (text[place + 1] === '"') cell += text[place++];
      else quoted = false;
    } else if (char === '"' && cell === "") quoted = true;
    else if (char === separator) cell = (row.push(cell), "");
    else if (char === "\n") {
      rows.push([...row, cell.replace(/\r$/, "")]);
      row = [];
      cell = "";
    } else cell += char;
  }
  if ((cell || row.length) && rows.length < most) rows.push([...row, cell]);
  return rows;
}
