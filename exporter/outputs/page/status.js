// Draws the status page from /-/status. No library, no build step; text only ever goes in as text.
"use strict";

const EVERY = 5000;
const WORDS = { ok: "fine", info: "worth knowing", warning: "a problem", critical: "a serious problem", unknown: "not known" };
const MARKS = { ok: "✓", info: "i", warning: "!", critical: "✕", unknown: "?" };
const SVG = "http://www.w3.org/2000/svg";

const byId = (id) => document.getElementById(id);

function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function scaled(value, steps) {
  for (const [unit, size] of steps) {
    if (Math.abs(value) >= size) {
      const number = value / size;
      return `${number >= 100 || Number.isInteger(number) ? number.toFixed(0) : number.toFixed(1)} ${unit}`;
    }
  }
  return null;
}

function show(value, unit) {
  if (value === null) return "not known";
  if (typeof value === "string") return value;
  switch (unit) {
    case "ratio": {
      const number = 100 * value;
      return `${number >= 10 || number === 0 ? number.toFixed(0) : number.toFixed(1)} %`;
    }
    case "bytes":
      return scaled(value, [["TiB", 2 ** 40], ["GiB", 2 ** 30], ["MiB", 2 ** 20], ["KiB", 2 ** 10]]) ?? `${value} bytes`;
    case "hertz":
      return scaled(value, [["GHz", 1e9], ["MHz", 1e6]]) ?? `${value} Hz`;
    case "seconds":
      return `${value} s`;
    case "time":
      return new Date(1000 * value).toLocaleString();
    default:
      return value.toLocaleString();
  }
}

function levelled(level) {
  return `${MARKS[level]} ${WORDS[level]}`;
}

// What is open or focused stays so: an item is made anew only where its content changed.
function replace(parent, items, make) {
  items.forEach((item, position) => {
    const key = JSON.stringify(item);
    const old = parent.children[position];
    if (old && old.dataset.key === key) return;
    const made = make(item);
    made.dataset.key = key;
    if (old) {
      const wasOpen = old.querySelector("details")?.open;
      const wasFocused = old.contains(document.activeElement);
      old.replaceWith(made);
      if (wasOpen) made.querySelector("details").open = true;
      if (wasFocused) made.querySelector("summary")?.focus();
    } else {
      parent.append(made);
    }
  });
  while (parent.children.length > items.length) parent.lastElementChild.remove();
}

function answer(item) {
  const made = element("li", undefined, { class: item.level });
  const title = element("h3", item.question);
  title.append(element("span", levelled(item.level)));
  const why = element("details");
  why.append(element("summary", "What this rests on"), element("p", item.threshold));
  made.append(title, element("p", item.text), why);
  return made;
}

function chart(item) {
  const known = item.points.filter(([, value]) => value !== null);
  const values = known.map(([, value]) => value);
  const last = item.points.at(-1)?.[1] ?? null;
  const highest = values.length ? Math.max(...values) : 0;
  const lowest = values.length ? Math.min(...values) : 0;
  const made = element("figure", undefined, { class: "chart" });
  const title = element("h3", item.title);
  title.append(element("strong", show(last, item.unit)));
  made.append(title, element("p", item.text));
  if (values.length < 2) {
    made.append(element("p", "Not enough readings for a line yet."));
    return made;
  }
  const range = lowest === highest
    ? `${show(lowest, item.unit)} throughout`
    : `${show(lowest, item.unit)} to ${show(highest, item.unit)}`;
  const drawing = document.createElementNS(SVG, "svg");
  for (const [key, value] of Object.entries({
    viewBox: "0 0 360 64", preserveAspectRatio: "none", role: "img",
    "aria-label": `${item.title} over the last hour: now ${show(last, item.unit)}, ${range}.`,
  })) drawing.setAttribute(key, value);
  const span = Math.max(600, -item.points[0][0]);
  const top = Math.max(highest, item.unit === "ratio" ? 0.05 : (item.full ?? 1) / 50);
  const x = (at) => (360 * (1 + at / span)).toFixed(1);
  const y = (value) => (62 - 58 * value / top).toFixed(1);
  // A gap in time, or a value that is not known, ends a line and begins the next.
  const runs = [[]];
  item.points.forEach(([at, value], position) => {
    const gap = position && at - item.points[position - 1][0] > Math.max(30, span / 60);
    if ((value === null || gap) && runs.at(-1).length) runs.push([]);
    if (value !== null) runs.at(-1).push([at, value]);
  });
  for (const run of runs.filter((points) => points.length > 1)) {
    const path = run.map(([at, value]) => `${x(at)} ${y(value)}`).join("L");
    for (const [kind, d] of [["area", `M${path}L${x(run.at(-1)[0])} 62L${x(run[0][0])} 62Z`], ["line", `M${path}`]]) {
      const part = document.createElementNS(SVG, "path");
      part.setAttribute("class", kind);
      part.setAttribute("d", d);
      drawing.append(part);
    }
  }
  const base = document.createElementNS(SVG, "path");
  base.setAttribute("class", "base");
  base.setAttribute("d", "M0 62.5H360");
  drawing.append(base);
  const ends = element("div", undefined, { class: "ends", "aria-hidden": "true" });
  ends.append(element("span", `${Math.round(span / 60)} min ago`), element("span", range), element("span", "now"));
  made.append(drawing, ends);
  return made;
}

function facts(item) {
  const made = element("div", undefined, { class: "facts" });
  const list = element("dl");
  for (const [label, value, unit] of item.rows) list.append(element("dt", label), element("dd", show(value, unit)));
  made.append(element("h3", item.title), list);
  return made;
}

function notice(text) {
  const place = byId("notice");
  if (place.textContent !== text) place.textContent = text;
  place.hidden = !text;
}

function draw(status) {
  byId("version").textContent = status.version;
  const { level, text } = status.verdict;
  byId("verdict").className = level;
  byId("level").textContent = levelled(level);
  if (byId("summary").textContent !== text) byId("summary").textContent = text;
  document.title = `${MARKS[level]} ${location.host} · vmguest-exporter`;
  replace(byId("answers"), status.answers, answer);
  replace(byId("charts"), status.charts, chart);
  replace(byId("facts"), status.facts, facts);
  const { problem } = status;
  notice(problem ? `The last poll failed (${problem.kind}): ${problem.text}. ${problem.advice} vmguest-exporter doctor looks further.` : "");
}

async function look() {
  try {
    const answer = await fetch("/-/status", { signal: AbortSignal.timeout(EVERY) });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    draw(await answer.json());
  } catch (error) {
    notice(`The exporter does not answer (${error.message}). What stands here may be old.`);
  }
}

if (!/^(localhost|127\..*|\[::1\])$/.test(location.hostname)) byId("where").textContent = location.hostname;
look();
setInterval(() => { if (!document.hidden) look(); }, EVERY);
document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });
