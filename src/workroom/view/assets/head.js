// The head of a run's page: how it ended, the task, the answer, figures and settings.

const REASONS = {
  __proto__: null,
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

function runHead(index, context, heading) {
  const how = index.stop_reason
    ? reasonText(index.stop_reason)
    : { __proto__: null, running: "Running", killed: "Cut short" }[index.status] || index.status;
  const failed = ["model_error", "sandbox_error"].includes(index.stop_reason) || index.status === "failed";
  const kind = index.stop_reason === "submitted" ? "good" : failed ? "bad" : "going";
  const usage = index.usage || {};
  const fact = (name, value, title) =>
    value === null || value === undefined || value === ""
      ? null
      : el("div", { title }, el("dt", {}, name), el("dd", {}, value));
  const limit = (name) =>
    typeof index.limits?.[name] === "number" ? ` of ${number(index.limits[name])}` : "";
  const about = usage.estimated ? "about " : "";
  return el(
    "header.run-head",
    {},
    el(
      "p.how",
      {},
      el(`span.badge.${kind}`, {}, how),
      index.damaged ? el("span.chip.bad", {}, `${number(index.damaged)} damaged lines left out`) : null,
      index.error && el("span", {}, plainText(index.error)),
    ),
    el(heading, {}, index.title),
    el(
      "section.task",
      { "aria-label": "Task" },
      (typeof index.prompt !== "string" || index.prompt.trim() !== index.title) && [
        el("h2", {}, "Task"),
        textBlock(index.prompt, context, { kind: "prose", label: "task", lines: 8 }),
      ],
      documents(index.documents),
    ),
    index.answer !== undefined &&
      el(
        "section.answer",
        { "aria-label": "Answer" },
        el("h2", {}, "Answer"),
        textBlock(index.answer, context, { kind: "prose", label: "answer", lines: 12 }),
      ),
    el(
      "dl.figures-of-run",
      {},
      fact("Turns", `${number(index.turns)}${index.mode === "llm" ? "" : limit("max_turns")}`),
      fact(
        "Tokens in",
        usage.prompt === undefined ? null : about + number(usage.prompt),
        usage.cached ? `${number(usage.cached)} of them from the cache` : null,
      ),
      fact(
        "Tokens out",
        usage.completion === undefined ? null : about + number(usage.completion),
        usage.reasoning ? `${number(usage.reasoning)} of them reasoning` : null,
      ),
      fact("Cost", typeof index.cost !== "number" ? null : `$${index.cost.toFixed(index.cost < 1 ? 4 : 2)}`),
      fact(
        "Time",
        seconds(index.duration),
        index.model_seconds === undefined
          ? null
          : `model ${seconds(index.model_seconds)}, tools ${seconds(index.tool_seconds)}`,
      ),
      fact("Mode", index.mode),
      fact("Network", index.sandbox && index.sandbox.network),
      fact("Model", index.model),
    ),
    more(index),
  );
}

const documents = (entries) =>
  entries && entries.length
    ? el(
        "details",
        {},
        el("summary", {}, `${number(entries.length)} ${entries.length === 1 ? "document" : "documents"}`),
        el(
          "ul.documents",
          {},
          inParts(
            each(entries, (entry) => el("li", {}, entry.name, el("span.facts", {}, size(entry.size)))),
            entries.length,
            LISTED,
          ),
        ),
      )
    : null;

function more(index) {
  const settings = { ...index.limits, ...index.settings };
  const told = [
    ["task id", index.task],
    ["started", typeof index.started === "number" ? new Date(index.started * 1000).toLocaleString("en-GB") : null],
    ["sandbox", index.sandbox && [index.sandbox.backend, index.sandbox.image].filter(Boolean).join(", ")],
    ...Object.entries(settings).map(([name, value]) => [name.replaceAll("_", " "), value]),
    ...Object.entries(index.versions || {}).map(([name, value]) => [`${name} version`, value]),
    ...Object.entries(index.origin || {}).map(([name, value]) => [`imported: ${name.replaceAll("_", " ")}`, value]),
    ["notices", index.sandbox && index.sandbox.notices],
  ].filter(([, value]) => value !== null && value !== undefined && value !== "");
  return el(
    "details",
    {},
    el("summary", {}, "Settings and versions"),
    el(
      "dl.arguments",
      {},
      told.map(([name, value]) => [el("dt", {}, name), el("dd", {}, typeof value === "object" ? JSON.stringify(value) : value)]),
    ),
  );
}
