// What stands between the model's calls: what the harness said and did, and how the run began and ended.

const REMINDERS = {
  __proto__: null,
  no_tool_call: "Reminder: no tool was called",
  budget: "Reminder: the budget is nearly used up",
  last_turn: "Reminder: this is the last turn",
  missing_answer: "Reminder: the answer is missing",
  repeated_call: "Reminder: the same call fails again and again",
  resumed: "Reminder: the run went on in a new process",
  user: "Message",
};

/* Functions that make what is not the model's own: what the harness said and did. */
function notes({ event, place }, context) {
  if (event.type === "turn_started") return []; // its row says it
  if (event.type === "episode_started") return beginningOf(event, place, context);
  return [() => note(event, place, context)];
}

function note(event, place, context) {
  const line = (text, kind = "") => el(`p.note${kind}`, {}, text);
  const told = (name) => el("span", { "data-text": `${place}-${name}` }, plainText(event[name]));
  if (event.type === "reminder") {
    return el(
      "section.note",
      { "aria-label": "Reminder" },
      el("h4", {}, REMINDERS[event.reason] || "Reminder"),
      textBlock(event.text, context, { kind: "prose", label: "reminder", lines: 4, name: `${place}-text` }),
    );
  }
  if (event.type === "model_waiting")
    return line([`Try ${event.attempt} failed, waited ${seconds(event.seconds)}: `, told("error")], ".bad");
  if (event.type === "context_trimmed") {
    const of = event.window ? ` to fit a window of ${number(event.window)} tokens` : "";
    return line(
      `${number(event.observations)} older observations were shortened${of}; all of them stand here in full.`,
    );
  }
  if (event.type === "egress") {
    return line(
      [
        "Network: ",
        told("host"),
        `:${event.port}, ${plainText(event.verdict)}; ${size(event.sent)} sent, ${size(event.received)} received`,
      ],
      event.verdict === "allowed" ? "" : ".bad",
    );
  }
  if (event.type === "episode_resumed") {
    const again = event.replayed ? `; ${number(event.replayed)} calls were run again` : "";
    return line(
      `The run went on in a new process after turn ${event.turn}${again}. What came after that turn before is put aside.`,
    );
  }
  if (event.type === "episode_finished")
    return line(
      [
        `${reasonText(event.stop_reason)} after ${number(event.turns)} turns, ${seconds(event.duration)}.`,
        event.error && [" ", told("error")],
      ],
    );
  return null;
}

const plainText = (value) => (value && typeof value === "object" ? `${value.head} … ${value.tail}` : value);

function beginningOf(event, place, context) {
  const told = { __proto__: null, system: "Instructions", user: "Task as the model was told it" };
  const parts = event.messages.map((message, which) => () => {
    const lines = message.role === "system" ? 3 : 12;
    const options = { kind: "prose", label: message.role, lines, name: `${place}-message${which}` };
    return el(
      "section.told",
      {},
      el("h4", {}, told[message.role] || message.role),
      textBlock(message.content, context, options),
    );
  });
  if (event.tools.length) parts.push(() => el("p.note", {}, `Tools: ${event.tools.join(", ")}`));
  return parts;
}
