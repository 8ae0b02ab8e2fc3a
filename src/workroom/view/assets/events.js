// One turn: what the model thought and said, what it called, what came back, and what the harness put in.

const CAPABILITIES = {
  __proto__: null,
  external: "external resources",
  files: "file management",
  computation: "computation",
};
const PARTS = 200; // of a row that are shown at first
const NOT_RUN = {
  __proto__: null,
  interrupted: "not run: interrupted",
  max_time: "not run: out of time",
  last_turn: "not run: out of time",
  cut_off: "not run: the call was cut off",
  same_again: "not run: the same call again",
};

function rowTitle(row) {
  if (row.kind === "start") return "Beginning";
  if (row.kind === "resumed") return "Taken up again";
  if (row.kind === "end") return "End";
  return row.turn ? `Turn ${row.turn}` : "Before the first turn";
}

/* The row that is meant by the number of a turn: the last one that counts; -1 where there is none. */
const turnPlace = (rows, turn) => rows.findLastIndex((row) => row.kind === "turn" && !row.void && row.turn === turn);

/* What a row is called in an address: `turn-17`, or `row-N` where `turn-17` means another one or none. */
function rowName(rows, place) {
  const { turn } = rows[place];
  return turn && turnPlace(rows, turn) === place ? `turn-${turn}` : `row-${place}`;
}

/* The head of a row, which is there before its events are. */
function rowHead(row, place, context) {
  const facts = [];
  if (row.in || row.out)
    facts.push(el("span", { title: "tokens in and out" }, `${short(row.in || 0)} → ${short(row.out || 0)} tokens`));
  if (row.model) facts.push(el("span", { title: "time of the model" }, `model ${seconds(row.model)}`));
  if (row.tool) facts.push(el("span", { title: "time of the tools" }, `tools ${seconds(row.tool)}`));
  const marks = (row.marks || []).map((name) =>
    el("span.chip", { title: "what the turn made use of" }, CAPABILITIES[name] || name),
  );
  const name = rowName(context.index.rows, place);
  return el(
    "header.row-head",
    {},
    el(
      "h3",
      {},
      el("a", { href: context.address.link(name), click: (event) => context.go(event, place) }, rowTitle(row)),
    ),
    row.void && el("span.chip.bad", {}, "put aside"),
    row.failed && el("span.chip.bad", {}, "error"),
    marks,
    el("span.facts", {}, facts),
    button("Copy link", () => copy(context.address.whole(name), "link"), {
      "aria-label": `Copy a link to ${rowTitle(row)}`,
    }),
    button(context.closed.has(place) ? "Open" : "Close", () => context.toggle(place), {
      "aria-label": `Open or close ${rowTitle(row)}`,
      "aria-expanded": String(!context.closed.has(place)),
    }),
  );
}

/* The line that stands for a closed row. */
const rowSummary = (row) =>
  el("p.summary", {}, row.says && el("span", {}, row.says), row.does && el("code", {}, row.does));

/* The events of a row as elements. */
function rowBody(events, context) {
  const parts = rowParts(events, context);
  return inParts(each(parts, guarded), parts.length, PARTS);
}

/* The events of a row in the order in which they are shown: [{event, place}, ...]. An entry with a `call`, the `each`-th of
   its event, has the `result` that answers it, such an entry, or null. */
function inOrder(events) {
  const entries = [];
  const open = new Map(); // calls that nothing has answered yet, by id
  events.forEach((event, place) => {
    if (event.type === "tool") {
      const entry = open.get(plainText(event.call_id))?.shift();
      const result = { event, place };
      if (entry) entry.result = result;
      else entries.push({ event, place, call: { name: plainText(event.name) }, each: 0, result });
      return;
    }
    entries.push({ event, place });
    (event.calls || []).forEach((call, each) => {
      const id = plainText(call.id);
      const entry = { event, place, call, each, result: null };
      if (!open.has(id)) open.set(id, []);
      open.get(id).push(entry);
      entries.push(entry);
    });
  });
  return entries;
}

/* The texts of an entry by name: what is searched, and shown in elements whose data-text names it. Long ones as what
   stands for them. */
function textsOf({ event, place, call, each, result }) {
  const named = call
    ? [
        [`${place}-${each}-name`, call.name],
        [`${place}-${each}-raw`, call.raw],
        ...Object.values(call.values || {}).map((value, which) => [`${place}-${each}-${which}`, value]),
        [`${result?.place}-observation`, result?.event.observation],
      ]
    : [
        ...["reasoning", "content", "text", "error", "host"].map((name) => [`${place}-${name}`, event[name]]),
        ...(event.messages || []).map((message, which) => [`${place}-message${which}`, message.content]),
      ];
  return named.filter(([, text]) => text);
}

/* Functions that make the elements of a row's parts. */
function rowParts(events, context) {
  const work = effort();
  const parts = inOrder(events).flatMap((entry) => {
    if (entry.call) return [() => callPanel(entry, context, work)];
    return entry.event.type === "assistant" ? spoken(entry, context) : notes(entry, context);
  });
  const last = events.at(-1);
  if (context.index.live && last && ["turn_started", "model_waiting"].includes(last.type)) {
    parts.push(() => el("p.note", {}, "The model is at work …"));
  }
  return parts;
}

function spoken({ event, place }, context) {
  const parts = [];
  if (event.reasoning) {
    parts.push(() => {
      const options = { kind: "prose", label: "reasoning", lines: 6, name: `${place}-reasoning` };
      const block = textBlock(event.reasoning, context, options);
      return el("section.reasoning", { "aria-label": "Reasoning" }, el("h4", {}, "Reasoning"), block);
    });
  }
  if (typeof event.content === "object" || event.content.trim()) {
    const options = { kind: "prose", label: "text", lines: 40, name: `${place}-content` };
    parts.push(() =>
      el("section.spoken", { "aria-label": "What the model said" }, textBlock(event.content, context, options)),
    );
  }
  if (event.finish_reason === "length")
    parts.push(() => el("p.note", {}, "The reply was cut off by its length limit."));
  return parts;
}

function callPanel({ event, place, call, each, result }, context, work) {
  const status = el("span.facts");
  const body = el("div.panel-body");
  const values = call.values || {};
  const name = `${place}-${each}`;
  const nameOf = (argument) => `${name}-${Object.keys(values).indexOf(argument)}`;
  const element = el(
    "section.panel",
    { "aria-label": `Call of ${call.name}` },
    el(
      "div.panel-head",
      {},
      el("h4", { "data-text": `${name}-name` }, call.name),
      typeof values.path === "string" && el("code.path", { "data-text": nameOf("path") }, values.path),
      status,
    ),
    body,
  );
  if (event.void) element.classList.add("void");
  if (call.raw !== undefined) body.append(textBlock(call.raw, context, { label: "arguments", name: `${name}-raw` }));
  else body.append(callBody(call.name, values, nameOf, context, work));
  if (result) showResult(result, { element, status, body, context });
  else replace(status, context.index.live ? "under way …" : "not answered");
  return element;
}

/* The arguments of a call. They are texts, or what stands for long ones. */
function callBody(tool, values, nameOf, context, work) {
  const fragment = document.createDocumentFragment();
  const rest = new Map(Object.entries(values));
  const take = (name) => {
    const value = rest.get(name);
    rest.delete(name);
    return value;
  };
  if (tool === "str_replace_editor" && typeof values.command === "string") {
    if (typeof values.path === "string") take("path");
    fragment.append(editorBody(take("command"), take, nameOf, context, work));
  } else if (rest.has("command")) {
    const options = { kind: "command", label: "command", lines: 30, paint: paintBash, name: nameOf("command") };
    fragment.append(textBlock(take("command"), context, options));
  }
  if (rest.size) {
    const row = ([name, value]) => [
      el("dt", {}, name),
      el("dd", {}, textBlock(value, context, { label: name, name: nameOf(name) })),
    ];
    fragment.append(el("dl.arguments", {}, [...rest].map(row)));
  }
  return fragment;
}

const VERBS = { __proto__: null, view: "View", create: "Create", str_replace: "Replace", insert: "Insert" };
const PIECES = { __proto__: null, create: ["file_text"], str_replace: ["old_str", "new_str"], insert: ["new_str"] };

function editorBody(command, take, nameOf, context, work) {
  const line = command === "insert" ? take("insert_line") : undefined;
  const part = [
    el(
      "p.verb",
      {},
      el("span", { "data-text": nameOf("command") }, VERBS[command] || command),
      line !== undefined && [" after line ", el("span", { "data-text": nameOf("insert_line") }, plainText(line))],
    ),
  ];
  const names = PIECES[command] || [];
  const texts = names.map((name) => take(name));
  if (command === "str_replace") texts[1] ??= "";
  if (names.length && texts.every((text) => typeof text === "string")) {
    part.push(editBlock(names.length > 1 ? texts[0] : "", texts.at(-1), names.map(nameOf), work));
  } else {
    const block = (text, at) => text && textBlock(text, context, { label: command, name: nameOf(names[at]) });
    part.push(texts.map(block));
  }
  return el("div", {}, part);
}

function showResult({ event, place }, { element, status, body, context }) {
  const facts = event.facts || {};
  const parts = [];
  if (facts.not_run) parts.push(el("span.chip.bad", {}, NOT_RUN[facts.not_run] || `not run: ${facts.not_run}`));
  else if (facts.timed_out) parts.push(el("span.chip.bad", {}, "timed out"));
  if (typeof facts.exit_code === "number")
    parts.push(el(`span.chip${facts.exit_code ? ".bad" : ".good"}`, {}, `exit code ${facts.exit_code}`));
  else if (event.is_error && !facts.not_run) parts.push(el("span.chip.bad", {}, "error"));
  parts.push(el("span", {}, seconds(event.duration)));
  replace(status, parts);
  if (event.is_error) element.classList.add("failed");
  if (event.void) element.classList.add("void");
  const options = { kind: "output", label: "output", name: `${place}-observation` };
  body.append(el("div.result", {}, textBlock(event.observation, context, options)));
  for (const picture of event.images || []) body.append(pictureOf(picture, context));
}

function pictureOf(picture, context) {
  const frame = el("figure", {}, el("figcaption", {}, `Picture that the model saw, ${size(picture.bytes)}`));
  if (!picture.media_type.startsWith("image/")) return frame;
  const image = el("img", { alt: "Picture that the model saw" });
  frame.prepend(image);
  context.source.blob(picture.chunk, picture.media_type).then(
    (blob) => context.show(image, blob),
    () => image.replaceWith(el("p.note", {}, "The picture is not in this page.")),
  );
  return frame;
}
