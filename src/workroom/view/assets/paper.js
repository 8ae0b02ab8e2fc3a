// Printing, which cannot wait: what is not in the document once `beforeprint` is over is not on the paper.

const PRINTED = 300; // rows of a conversation, which are kept at hand for it
const PRINTED_ITEMS = 2000; // rows of a table

const printers = new Set();
let scrolledTo = 0;

addEventListener("beforeprint", () => {
  scrolledTo = scrollY;
  printers.forEach((one) => one.before());
});
addEventListener("afterprint", () => {
  printers.forEach((one) => one.after());
  scrollTo({ top: scrolledTo, behavior: "instant" });
});

/* Calls `before` and `after` each time the page is printed. Gives what ends that. */
function onPaper(before, after) {
  const one = { before, after };
  printers.add(one);
  return () => printers.delete(one);
}

const paperNote = (text) => el("p.note.paper", {}, text);

const eventsOf = (chunk) => new Map(chunk.rows.map((row) => [row.row, row.events]));

/* Has the events of these groups of a conversation (see list.js) at hand, also of those that are far away. */
async function keepAtHand(groups, source, alive) {
  await pause(200); // what is in sight comes first
  for (const group of groups) {
    if (group.events) continue;
    if (!alive()) return;
    const { age } = group;
    const chunk = await source.chunk(`turns-${group.place}`).catch(() => null);
    if (chunk && age === group.age) group.events ||= eventsOf(chunk);
    await pause();
  }
}

/* The groups of a conversation on paper: those that are far away are drawn for it, the first PRINTED rows
   of them, and what is left out is said. `draw(group)` puts its rows into the document without waiting. */
function printGroups(groups, index, draw) {
  let gap = null; // the groups that are left out one after the other, the first of which says so
  const nameOf = (place) => rowTitle(index.rows[place]);
  const tellGap = () => {
    if (!gap) return;
    const [first, end] = [gap[0].place * index.chunk, Math.min(index.rows.length, (gap.at(-1).place + 1) * index.chunk)];
    const what = `${nameOf(first)} to ${nameOf(end - 1)} (${number(end - first)} rows)`;
    gap[0].element.append(paperNote(`Not on this paper: ${what}. It has the first ${PRINTED} rows, and those around what was in sight.`));
    gap = null;
  };
  for (const group of groups) {
    if (group.filled && !$(".row-body:empty", group.element)) {
      tellGap();
      continue;
    }
    group.element.style.removeProperty("min-height");
    if (group.place * index.chunk >= PRINTED) {
      group.element.replaceChildren();
      (gap ||= []).push(group);
      continue;
    }
    draw(group);
    if (!group.events) group.element.prepend(paperNote("These rows are on this paper as a line each: they had not come in when it was printed."));
    for (const image of group.element.querySelectorAll("img:not([src])"))
      image.replaceWith(paperNote("The picture is on the page, not on this paper."));
  }
  tellGap();
}
