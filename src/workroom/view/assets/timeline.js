// Tokens and time of each turn as bars; a click goes to the turn. The same figures are there as a table.

const BARS = 400; // at most; of more turns, several share a bar
const WIDTH = 1000;
const LANE = 44;
const WIDEST = 90; // of WIDTH, for a bar

/* `rows`: of the index. `go(place)`: shows a row. */
function timeline(rows, go) {
  const turns = rows.map((row, place) => ({ ...row, place })).filter((row) => row.kind === "turn" && !row.void);
  if (turns.length < 2) return null;
  const each = Math.ceil(turns.length / BARS);
  const bars = [];
  for (let start = 0; start < turns.length; start += each) bars.push(turns.slice(start, start + each));
  const sum = (bar, name) => bar.reduce((total, row) => total + (row[name] || 0), 0) / bar.length;
  const lanes = [
    ["Tokens in", "in", (value) => short(value)],
    ["Tokens out", "out", (value) => short(value)],
    ["Model", "model", seconds],
    ["Tools", "tool", seconds],
  ].filter(([, name]) => turns.some((row) => row[name]));
  const step = Math.min(WIDTH / bars.length, WIDEST);
  const at = el("p.at", {}, each > 1 ? `Each bar is the mean of ${each} turns.` : "A bar is a turn.");
  const strips = lanes.map(([label, name, told]) => {
    const values = bars.map((bar) => sum(bar, name));
    const most = Math.max(...values);
    const path = values.map((value, place) => bar(place * step, step, most ? (value / most) * (LANE - 2) : 0)).join("");
    const picture = vector(
      "svg",
      {
        viewBox: `0 0 ${WIDTH} ${LANE}`,
        preserveAspectRatio: "none",
        role: "img",
        "aria-label": `${label} of each turn, at most ${told(most)}`,
      },
      vector("path", { d: path || "M0 0", class: `bar ${name}` }),
    );
    const place = (event) => {
      const box = picture.getBoundingClientRect();
      return Math.min(
        bars.length - 1,
        Math.max(0, Math.floor((((event.clientX - box.left) / box.width) * WIDTH) / step)),
      );
    };
    picture.addEventListener("mousemove", (event) => replace(at, said(bars[place(event)], lanes, sum)));
    picture.addEventListener("click", (event) => go(bars[place(event)][0].place));
    return el(
      "div.lane",
      {},
      el("span.lane-name", {}, label),
      picture,
      el("span.lane-most", { title: "the most of a bar" }, told(most)),
    );
  });
  return el("div.timeline", {}, strips, at, figures(turns, go));
}

const bar = (x, width, height) =>
  height > 0
    ? `M${x.toFixed(2)} ${LANE}v-${Math.max(1, height).toFixed(2)}h${(width * (width > 4 ? 0.8 : 1)).toFixed(2)}V${LANE}z`
    : "";

function said(turns, lanes, sum) {
  const last = turns[turns.length - 1].turn;
  const name = turns.length > 1 ? `Turns ${turns[0].turn} to ${last}` : `Turn ${last}`;
  return `${name}: ${lanes.map(([label, key, told]) => `${label.toLowerCase()} ${told(sum(turns, key))}`).join(", ")}`;
}

function figures(turns, go) {
  const place = el("div.scroll", { tabindex: "0", role: "group", "aria-label": "Figures of each turn" });
  const details = el("details", {}, el("summary", {}, "The figures as a table"), place);
  const row = (turn) =>
    el(
      "tr",
      {},
      el(
        "th",
        { scope: "row" },
        button(`Turn ${turn.turn}`, () => go(turn.place)),
      ),
      [
        number(turn.in || 0),
        number(turn.cached || 0),
        number(turn.out || 0),
        seconds(turn.model || 0),
        seconds(turn.tool || 0),
      ].map((value) => el("td", {}, value)),
      el("td", {}, (turn.tools || []).join(", ")),
    );
  details.addEventListener("toggle", () => {
    if (place.childElementCount) return;
    const head = ["Turn", "Tokens in", "Cached", "Tokens out", "Model", "Tools", "Calls"].map((name) =>
      el("th", { scope: "col" }, name),
    );
    place.append(
      el(
        "table.figures",
        {},
        el("caption.unseen", {}, "Tokens and time of each turn"),
        el("thead", {}, el("tr", {}, head)),
        el("tbody", {}, turns.map(row)),
      ),
    );
  });
  return details;
}
