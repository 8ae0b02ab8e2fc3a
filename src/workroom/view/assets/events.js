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

/* What a row is called in an address: `turn-17`; `row-N` where no turn, or none that counts, is meant. */
const rowName = (row, place) => (row.kind === "turn" && row.turn && !row.void ? `turn-${row.turn}` : `row-${place}`);

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
  const name = rowName(row, place);
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
const rowBody = (events, context) =>
  inParts(
    rowParts(events, context)
      .flat(Infinity)
      .filter((part) => part),
    PARTS,
  );

function rowParts(events, context) {
  const parts = [];
  const results = new Map();
  for (const event of events) {
    if (event.type === "assistant") {
      parts.push(spoken(event, context));
      for (const call of event.calls) {
        const panel = callPanel(call, event.void, context);
        const id = plainText(call.id);
        if (!results.has(id)) results.set(id, []);
        results.get(id).push(panel);
        panel.placed = true;
        parts.push(panel.element);
      }
    } else if (event.type === "tool") {
      const panel =
        (results.get(plainText(event.call_id)) || []).shift() ||
        callPanel({ name: plainText(event.name), values: {} }, event.void, context);
      if (!panel.placed) parts.push(panel.element);
      panel.finish(event);
    } else {
      parts.push(note(event, context));
    }
  }
  for (const panels of results.values()) for (const panel of panels) panel.wait();
  const last = events.at(-1);
  if (context.index.live && last && ["turn_started", "model_waiting"].includes(last.type)) {
    parts.push(el("p.note", {}, "The model is at work …"));
  }
  return parts;
}

function spoken(event, context) {
  const parts = [];
  if (event.reasoning) {
    const block = textBlock(event.reasoning, context, { kind: "prose", label: "reasoning", lines: 6 });
    parts.push(el("section.reasoning", { "aria-label": "Reasoning" }, el("h4", {}, "Reasoning"), block));
  }
  if (typeof event.content === "object" || event.content.trim()) {
    parts.push(
      el(
        "section.spoken",
        { "aria-label": "What the model said" },
        textBlock(event.content, context, { kind: "prose", label: "text", lines: 40 }),
      ),
    );
  }
  if (event.finish_reason === "length") parts.push(el("p.note", {}, "The reply was cut off by its length limit."));
  return parts;
}

function callPanel(call, isVoid, context) {
  const values = call.values || {};
  const status = el("span.facts");
  const body = el("div.panel-body");
  const element = el(
    "section.panel",
    { "aria-label": `Call of ${call.name}` },
    el("div.panel-head", {}, el("h4", {}, call.name), callPlace(values), status),
    body,
  );
  if (isVoid) element.classList.add("void");
  body.append(callBody(call, values, context));
  return {
    element,
    finish: (event) => showResult(event, { element, status, body, context }),
    wait: () => replace(status, context.index.live ? "under way …" : "not answered"),
  };
}

const callPlace = (values) => (typeof values.path === "string" ? el("code.path", {}, values.path) : null);

function callBody(call, values, context) {
  if (call.raw !== undefined) return textBlock(call.raw, context, { label: "arguments" });
  const fragment = document.createDocumentFragment();
  const rest = { ...values };
  const take = (name) => {
    const value = rest[name];
    delete rest[name];
    return value;
  };
  if (call.name === "str_replace_editor" && typeof values.command === "string") {
    take("path");
    fragment.append(editorBody(take("command"), take, context));
  } else if (values.command !== undefined) {
    fragment.append(
      textBlock(texted(take("command")), context, { kind: "command", label: "command", lines: 30, paint: paintBash }),
    );
  }
  const left = Object.entries(rest).filter(([, value]) => value !== null);
  if (left.length) {
    const row = ([name, value]) => [
      el("dt", {}, name),
      el("dd", {}, textBlock(texted(value), context, { label: name })),
    ];
    fragment.append(el("dl.arguments", {}, left.map(row)));
  }
  return fragment;
}

/* A value of an argument as a text, or as what stands for a long one. */
function texted(value) {
  if (typeof value === "string") return value;
  return value && typeof value === "object" && typeof value.chunk === "string" && typeof value.head === "string"
    ? value
    : JSON.stringify(value);
}

function editorBody(command, take, context) {
  const line = command === "insert" ? take("insert_line") : undefined;
  const says = { view: "View", create: "Create", str_replace: "Replace", insert: "Insert" }[command] || command;
  const part = [el("p.verb", {}, says, line !== undefined && ` after line ${line}`)];
  let pieces = null;
  if (command === "create") pieces = ["", take("file_text")];
  if (command === "str_replace") pieces = [take("old_str"), take("new_str") ?? ""];
  if (command === "insert") pieces = ["", take("new_str")];
  if (pieces && pieces.every((piece) => typeof piece === "string")) {
    const lines = differenceLines(...pieces);
    part.push(foldedLines(lines, "difference"));
  } else if (pieces) {
    part.push(...pieces.filter((piece) => piece).map((piece) => textBlock(texted(piece), context, { label: command })));
  }
  return el("div", {}, part);
}

/* The lines of a difference, folded where there are many. */
function foldedLines(lines, label) {
  const body = el("pre.difference", { role: "group", "aria-label": label });
  const block = el("div.text", {}, body);
  const most = 40;
  put(body, lines.slice(0, most));
  block.unfold = () => {};
  if (lines.length > most) {
    const tools = el("div.tools");
    block.unfold = () => {
      put(body, lines.slice(most));
      tools.remove();
      block.unfold = () => {};
    };
    block.append(
      put(
        tools,
        button(`Show all ${number(lines.length)} lines`, () => block.unfold()),
      ),
    );
  }
  return block;
}

function showResult(event, { element, status, body, context }) {
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
  body.append(el("div.result", {}, textBlock(event.observation, context, { kind: "output", label: "output" })));
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
