// Edits as differences: lines that went, lines that came, and the words in them that are not the same.

const PAIRS_COMPARED = 4_000_000; // of lines and words, for all edits of a row
const WORDS = 500; // of a line that is compared word by word
const SHORT = 40; // lines that are shown at first
const ROOM = 8000; // characters that they have at most
const LINES = 1000; // that are shown at a time after that

/* How much may be compared. What would take more than is left is not: it went and came as a whole. */
const effort = () => ({ left: PAIRS_COMPARED });

/* The longest common part of two lists, as blocks: what goes, what comes in its place, and what is kept after it. */
function difference(before, after, work) {
  let start = 0;
  while (start < before.length && start < after.length && before[start] === after[start]) start++;
  let end = 0;
  while (
    end < before.length - start &&
    end < after.length - start &&
    before[before.length - 1 - end] === after[after.length - 1 - end]
  )
    end++;
  return [
    { gone: [], come: [], kept: before.slice(0, start) },
    ...compare(before.slice(start, before.length - end), after.slice(start, after.length - end), work),
    { gone: [], come: [], kept: before.slice(before.length - end) },
  ];
}

function compare(before, after, work) {
  const pairs = before.length * after.length;
  if (!pairs || pairs > work.left) return [{ gone: before, come: after, kept: [] }];
  work.left -= pairs;
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
  const blocks = [];
  let block = null;
  let i = 0;
  let j = 0;
  while (i < before.length || j < after.length) {
    const same = i < before.length && j < after.length && before[i] === after[j];
    if (!block || (!same && block.kept.length)) blocks.push((block = { gone: [], come: [], kept: [] }));
    if (same) {
      block.kept.push(before[i++]);
      j++;
    } else if (
      j === after.length ||
      (i < before.length && common[(i + 1) * width + j] >= common[i * width + j + 1])
    ) {
      block.gone.push(before[i++]);
    } else block.come.push(after[j++]);
  }
  return blocks;
}

const words = (line) => line.match(/[\p{L}\p{N}_]+|\s+|[^\p{L}\p{N}_\s]/gu) || [];

/* Two lines as steps from one to the other, [["out"|"in"|"same", text], ...]; null where they have nothing in common. */
function wordSteps(before, after, work) {
  work.left -= before.length + after.length; // to read them takes its time, too
  if (work.left < 0) return null;
  const [old, fresh] = [words(before), words(after)];
  if (Math.max(old.length, fresh.length) > WORDS) return null;
  const steps = difference(old, fresh, work)
    .flatMap(({ gone, come, kept }) => [
      ["out", gone.join("")],
      ["in", come.join("")],
      ["same", kept.join("")],
    ])
    .filter(([, text]) => text);
  return steps.some(([kind, text]) => kind === "same" && text.trim()) ? steps : null;
}

/* The lines of a difference: {count, lines}, which makes an element of each when it is asked for, cut where `room` is used
   up. Where a line took the place of another, what differs in them is marked. Where only one of the texts ends with the
   end of a line, so do its lines here, and the line that has none says so: else they would look the same. */
function differenceLines(before, after, work, room) {
  const uneven = before !== "" && after !== "" && before.endsWith("\n") !== after.endsWith("\n");
  const split = (text) => {
    if (text === "") return [];
    return uneven ? text.match(/[^\n]*\n|[^\n]+/g) : text.replace(/\n$/, "").split("\n");
  };
  const bare = (line) => (uneven ? line.replace(/\n$/, "") : line);
  const element = (kind, steps, line) => differenceLine(kind, steps, room, uneven && !line.endsWith("\n"));
  const blocks = difference(split(before), split(after), work);
  function* lines() {
    for (const { gone, come, kept } of blocks) {
      const paired = gone.length === come.length;
      const steps = new Map();
      const marked = (line, place, other) => {
        if (paired && !steps.has(place)) steps.set(place, wordSteps(bare(gone[place]), bare(come[place]), work));
        return steps.get(place)?.filter(([kind]) => kind !== other) || [["same", bare(line)]];
      };
      for (const [place, line] of gone.entries()) yield element("out", marked(line, place, "in"), line);
      for (const [place, line] of come.entries()) yield element("in", marked(line, place, "out"), line);
      for (const line of kept) yield element("same", [["same", bare(line)]], line);
    }
  }
  const count = blocks.reduce((sum, one) => sum + one.gone.length + one.come.length + one.kept.length, 0);
  return { count, lines: lines() };
}

function differenceLine(kind, steps, room, endless) {
  const sign = { same: " ", out: "−", in: "+" }[kind];
  const name = { same: "", out: "removed: ", in: "added: " }[kind];
  const parts = steps.map(([step, text]) => {
    const part = text.slice(0, between(text, Math.max(0, room.left)));
    room.left -= text.length;
    return step === "same" ? part : el(step === "out" ? "del" : "ins", {}, part);
  });
  return el(
    `span.line.${kind}`,
    {},
    el("span.sign", { "aria-hidden": "true" }, sign),
    name && el("span.unseen", {}, name),
    parts,
    endless && el("span.ending", {}, " (no line end)"),
    "\n",
  );
}

function* asThereIs(room, lines) {
  for (const line of lines) {
    yield line;
    if (room.left <= 0) return;
  }
}

/* An edit as a block of lines, folded where there are many. `names`: of the texts before and after, see `textsOf`. */
function editBlock(before, after, names, work) {
  const body = el("pre.difference", { role: "group", "aria-label": "difference", "data-text": names.join(" ") });
  const block = el("div.text", {}, body);
  const room = { left: ROOM };
  const { count, lines } = differenceLines(before, after, work, room);
  put(body, taken(asThereIs(room, lines), SHORT));
  block.unfold = () => {};
  if (body.childElementCount === count && room.left >= 0) return block;
  const tools = el("div.tools");
  block.unfold = () => {
    block.unfold = () => {};
    tools.remove();
    const all = differenceLines(before, after, effort(), { left: Infinity });
    replace(body, inParts(all.lines, all.count, LINES));
  };
  put(
    tools,
    button(count > SHORT ? `Show all ${number(count)} lines` : "Show all of it", () => block.unfold()),
  );
  return put(block, tools);
}
