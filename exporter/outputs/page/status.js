// Draws the status page from -/insight. No library, no build step; text only ever goes in as text.
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

function svg(name, attributes, parent) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (parent) parent.append(made);
  return made;
}

const clock = (seconds) => new Date(1000 * seconds).toLocaleTimeString();

// What all charts share: the wall clock of each reading, the hour that is drawn, the moment that is looked at.
let scale = { times: [], from: 0, to: 1 };
let pinned = null;
let hovered = null;

const x = (time) => 360 * (time - scale.from) / (scale.to - scale.from);

// Neighbouring readings that a line may join: none is missing between them.
function runs(values, gap) {
  const found = [];
  let last = null;
  values.forEach((value, position) => {
    if (value === null) return;
    if (last === null || scale.times[position] - scale.times[last] > gap) found.push([]);
    found.at(-1).push(position);
    last = position;
  });
  return found;
}

function drawing(label) {
  return svg("svg", { viewBox: "0 0 360 64", preserveAspectRatio: "none", role: "img", "aria-label": label });
}

function finish(made, picture, item, ends) {
  for (const event of scale.events) svg("path", { class: "event", d: `M${x(event).toFixed(1)} 0V62` }, picture);
  svg("path", { class: "base", d: "M0 62.5H360" }, picture);
  svg("path", { class: "cursor", d: "" }, picture);
  picture.addEventListener("pointermove", (event) => {
    const box = picture.getBoundingClientRect();
    hovered = scale.from + (scale.to - scale.from) * (event.clientX - box.left) / box.width;
    point();
  });
  picture.addEventListener("pointerleave", () => { hovered = null; point(); });
  picture.addEventListener("click", () => pin(hovered));
  const line = element("div", undefined, { class: "ends", "aria-hidden": "true" });
  line.append(...ends.map((text) => element("span", text)));
  const query = element("details");
  query.append(element("summary", "The same in Prometheus"), element("p"));
  query.lastChild.append(element("code", item.query));
  made.append(picture, line, element("p", "", { class: "read" }), query);
  return made;
}

function chart(item) {
  const known = item.values.filter((value) => value !== null);
  const highest = known.length ? Math.max(...known) : 0;
  const lowest = known.length ? Math.min(...known) : 0;
  const made = element("figure", undefined, { class: "chart" });
  const title = element("h3", item.title);
  const present = element("strong", item.now && item.now.value !== null ? show(item.now.value, item.unit) : "not known now");
  if (item.now && item.now.value !== null) {
    present.append(element("small", item.now.of || `at ${clock(item.now.time)}`));
  }
  title.append(present);
  made.append(title, element("p", item.text));
  if (known.length < 2) {
    made.append(element("p", "Not enough readings for a line yet."));
    return made;
  }
  const range = lowest === highest
    ? `${show(lowest, item.unit)} throughout`
    : `${show(lowest, item.unit)} to ${show(highest, item.unit)}`;
  const picture = drawing(`${item.title} over the last hour: ${present.textContent}, ${range}.`);
  const top = Math.max(highest, item.unit === "ratio" ? 0.05 : (item.full ?? 1) / 50);
  const y = (value) => 62 - 58 * value / top;
  const place = (position) => `${x(scale.times[position]).toFixed(1)} ${y(item.values[position]).toFixed(1)}`;
  for (const run of runs(item.values, item.gap).filter((positions) => positions.length > 1)) {
    const path = run.map(place).join("L");
    const [first, last] = [run[0], run.at(-1)].map((position) => x(scale.times[position]).toFixed(1));
    svg("path", { class: "area", d: `M${path}L${last} 62L${first} 62Z` }, picture);
    svg("path", { class: "line", d: `M${path}` }, picture);
  }
  made.read = (position) => show(item.values[position], item.unit);
  return finish(made, picture, item, [clock(scale.from), range, clock(scale.to)]);
}

function band(item) {
  const made = element("figure", undefined, { class: "chart band" });
  made.append(element("h3", item.title), element("p", item.text));
  const key = element("p", undefined, { class: "key" });
  item.parts.forEach((part, number) => key.append(element("span", part.title, { class: `part${number}` })));
  key.append(element("span", "idle", { class: "idle" }));
  made.append(key);
  const counted = item.parts[0].values.map((_, position) => {
    const shares = item.parts.map((part) => part.values[position]);
    return shares[0] === null ? null : shares.map((share) => share ?? 0);
  });
  const found = runs(counted, item.gap).filter((positions) => positions.length > 1);
  if (!found.length) {
    made.append(element("p", "Not enough readings yet."));
    return made;
  }
  const picture = drawing(`${item.title} over the last hour, stacked: ${item.parts.map((part) => part.title).join(", ")}, idle.`);
  for (const run of found) {
    item.parts.forEach((part, number) => {
      const edge = (position, upTo) => {
        const sum = counted[position].slice(0, upTo).reduce((total, share) => total + share, 0);
        return `${x(scale.times[position]).toFixed(1)} ${(62 - 62 * Math.min(sum, 1)).toFixed(1)}`;
      };
      const above = run.map((position) => edge(position, number + 1));
      const below = run.map((position) => edge(position, number)).reverse();
      svg("path", { class: `part part${number}`, d: `M${[...above, ...below].join("L")}Z` }, picture);
    });
  }
  made.read = (position) => {
    const shares = counted[position];
    if (shares === null) return "not known";
    const idle = Math.max(1 - shares.reduce((total, share) => total + share, 0), 0);
    return [...item.parts.map((part, number) => `${part.title} ${show(shares[number], "ratio")}`), `idle ${show(idle, "ratio")}`].join(", ");
  };
  return finish(made, picture, item, [clock(scale.from), clock(scale.to)]);
}

// The moment that is looked at, in every chart at once.
function point() {
  const time = hovered ?? pinned;
  let nearest = null;
  scale.times.forEach((each, position) => {
    if (time !== null && (nearest === null || Math.abs(each - time) < Math.abs(scale.times[nearest] - time))) nearest = position;
  });
  if (nearest !== null && Math.abs(scale.times[nearest] - time) > scale.gap) nearest = null;
  for (const figure of document.querySelectorAll("figure.chart")) {
    const read = figure.querySelector(".read");
    if (!read) continue;
    figure.querySelector(".cursor").setAttribute("d", time === null ? "" : `M${x(time).toFixed(1)} 0V62`);
    read.textContent = time === null ? "" : `${clock(nearest === null ? time : scale.times[nearest])}: ${nearest === null ? "nothing was read" : figure.read(nearest)}`;
  }
  const place = byId("moment");
  place.hidden = pinned === null;
  const kept = pinned !== null && pinned < scale.from ? ", which is more than an hour ago: Prometheus has it" : "";
  place.textContent = pinned === null ? "" : `Held at ${new Date(1000 * pinned).toLocaleString()}${kept}. The address of this page leads here; Escape lets go.`;
}

function pin(time) {
  pinned = time === null ? null : Math.round(time);
  history.replaceState(null, "", pinned === null ? location.pathname + location.search : `#t=${pinned}`);
  point();
}

function held() {
  const found = /^#t=(\d+(?:\.\d+)?)$/.exec(location.hash);
  pinned = found ? Number(found[1]) : null;
  point();
}

const KINDS = { session: "Session", setting: "Setting", pause: "Pause", start: "Start", heartbeat: "Heartbeat" };

function happened(item) {
  const made = element("li");
  const when = element("a", new Date(1000 * item.time).toLocaleString(), { href: `#t=${Math.round(item.time)}` });
  made.append(when, element("strong", KINDS[item.kind] ?? item.kind), element("span", item.text));
  if (item.guess) made.append(element("span", `A guess: ${item.guess}.`, { class: "guess" }));
  if (item.clues.length) {
    const clues = element("details");
    clues.append(element("summary", "Clues"), element("p", item.clues.join("; ")));
    made.append(clues);
  }
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
  document.body.classList.remove("gone");
  byId("version").textContent = status.version;
  const { level, text } = status.verdict;
  byId("verdict").className = level;
  byId("level").textContent = levelled(level);
  if (byId("summary").textContent !== text) byId("summary").textContent = text;
  document.title = `${MARKS[level]} ${location.host} · vmguest-exporter`;
  const times = status.times.map((ago) => status.time + ago);
  const from = Math.min(times[0] ?? Infinity, status.time - 600);
  const events = status.events.map((event) => status.time + event.ago).filter((time) => time >= from);
  scale = { times, from, to: status.time, events, gap: status.gap };
  const stamp = [status.time, times.length];
  replace(byId("answers"), status.answers, answer);
  replace(byId("band"), [{ ...status.band, gap: status.gap, stamp }], band);
  replace(byId("charts"), status.charts.map((item) => ({ ...item, stamp })), chart);
  replace(byId("events"), status.events.length ? status.events.map(({ ago, ...event }) => event) : [{ kind: "", time: status.time, text: "Nothing was seen since the exporter started.", guess: "", clues: [] }], happened);
  replace(byId("facts"), status.facts, facts);
  const { problem } = status;
  notice(problem ? `The last poll failed (${problem.kind}): ${problem.text}. ${problem.advice} vmguest-exporter doctor looks further.` : "");
  point();
}

let answered = null;

// Nothing that stands here may pass for the present: it goes grey, with the time that it is of.
function gone(reason) {
  document.body.classList.add("gone");
  byId("verdict").className = "unknown";
  byId("level").textContent = answered === null ? `${MARKS.unknown} no answer yet` : `${MARKS.unknown} no answer since ${answered.toLocaleTimeString()}`;
  document.title = `${MARKS.unknown} ${location.host} · vmguest-exporter`;
  notice(`The exporter does not answer (${reason}). ${answered === null ? "" : `What stands here is of ${answered.toLocaleString()}.`}`);
}

async function look() {
  try {
    const answer = await fetch("-/insight", { signal: AbortSignal.timeout(EVERY) });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    const status = await answer.json();
    answered = new Date();
    draw(status);
  } catch (error) {
    gone(error.message);
  }
}

if (!/^(localhost|127\..*|\[::1\])$/.test(location.hostname)) byId("where").textContent = location.hostname;
addEventListener("hashchange", held);
addEventListener("keydown", (event) => {
  if (event.key === "Escape" && pinned !== null) pin(null);
  if ((event.key === "ArrowLeft" || event.key === "ArrowRight") && pinned !== null) {
    const beyond = event.key === "ArrowLeft"
      ? scale.times.filter((time) => time < pinned - 0.5).at(-1)
      : scale.times.find((time) => time > pinned + 0.5);
    if (beyond !== undefined) pin(beyond);
  }
});
held();
look();
setInterval(() => { if (!document.hidden) look(); }, EVERY);
document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });
