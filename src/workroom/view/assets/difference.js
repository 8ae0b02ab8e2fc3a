// Edits as differences: lines that went, lines that came, and the words in them that are not the same.

const LARGEST = 3000; // lines or words that are compared one by one

/* The longest common part of two lists as pairs of what stays, goes and comes: [["same"|"out"|"in", item], ...]. */
function difference(before, after) {
  let start = 0;
  while (start < before.length && start < after.length && before[start] === after[start]) start++;
  let end = 0;
  while (
    end < before.length - start &&
    end < after.length - start &&
    before[before.length - 1 - end] === after[after.length - 1 - end]
  )
    end++;
  const same = (items) => items.map((item) => ["same", item]);
  const middle = compare(before.slice(start, before.length - end), after.slice(start, after.length - end));
  return [...same(before.slice(0, start)), ...middle, ...same(before.slice(before.length - end))];
}

function compare(before, after) {
  const out = (item) => ["out", item];
  const come = (item) => ["in", item];
  if (!before.length || !after.length || before.length * after.length > (LARGEST * LARGEST) / 4) {
    return [...before.map(out), ...after.map(come)];
  }
  const width = after.length + 1;
  const common = new Uint16Array((before.length + 1) * width);
  for (let i = before.length - 1; i >= 0; i--) {
    for (let j = after.length - 1; j >= 0; j--) {
      common[i * width + j] =
        before[i] === after[j]
          ? common[(i + 1) * width + j + 1] + 1
          : Math.max(common[(i + 1) * width + j], common[i * width + j + 1]);
    }
  }
  const result = [];
  let i = 0;
  let j = 0;
  while (i < before.length && j < after.length) {
    if (before[i] === after[j]) result.push(["same", before[i++], j++]);
    else if (common[(i + 1) * width + j] >= common[i * width + j + 1]) result.push(out(before[i++]));
    else result.push(come(after[j++]));
  }
  return [...result, ...before.slice(i).map(out), ...after.slice(j).map(come)];
}

const words = (line) => line.match(/[\p{L}\p{N}_]+|\s+|[^\p{L}\p{N}_\s]/gu) || [];

/* The lines of a difference as elements; where a line took the place of another, what differs in them is marked. */
function differenceLines(before, after) {
  const split = (text) => (text === "" ? [] : text.replace(/\n$/, "").split("\n"));
  const steps = difference(split(before), split(after));
  const lines = [];
  for (let at = 0; at < steps.length;) {
    if (steps[at][0] === "same") {
      lines.push(differenceLine("same", [["same", steps[at++][1]]]));
      continue;
    }
    const gone = [];
    const come = [];
    for (; at < steps.length && steps[at][0] !== "same"; at++)
      (steps[at][0] === "out" ? gone : come).push(steps[at][1]);
    const pairs = gone.length === come.length && gone.length <= 200;
    const inner = pairs
      ? gone.map((line, place) => difference(words(line).slice(0, 500), words(come[place]).slice(0, 500)))
      : [];
    const whole = (line, place) =>
      !pairs || words(line).length > 500 || !inner[place].some((step) => step[0] === "same" && step[1].trim());
    gone.forEach((line, place) =>
      lines.push(
        differenceLine("out", whole(line, place) ? [["same", line]] : inner[place].filter((step) => step[0] !== "in")),
      ),
    );
    come.forEach((line, place) =>
      lines.push(
        differenceLine("in", whole(line, place) ? [["same", line]] : inner[place].filter((step) => step[0] !== "out")),
      ),
    );
  }
  return lines;
}

function differenceLine(kind, steps) {
  const sign = { same: " ", out: "−", in: "+" }[kind];
  const name = { same: "", out: "removed: ", in: "added: " }[kind];
  const parts = steps.map(([step, text]) => (step === "same" ? text : el(step === "out" ? "del" : "ins", {}, text)));
  return el(
    `span.line.${kind}`,
    {},
    el("span.sign", { "aria-hidden": "true" }, sign),
    name && el("span.unseen", {}, name),
    parts,
    "\n",
  );
}
