// What every part shares: the data, the state (kept in the address), elements, numbers, tooltips.

const DATA = JSON.parse(document.getElementById("data").textContent);
const METRICS = new Map(DATA.metrics.map((metric) => [metric.id, metric]));
const isScored = (score) => DATA.scored.includes(score.status); // its own values count, not the worst ones
const MEAN = 0, MEDIAN = 1, LOW = 2, HIGH = 3, WORST_MEAN = 4, WORST_LOW = 5, WORST_HIGH = 6;
const COSTS = {
  latent_floats: { label: "Latent floats", unit: "count", formula: "numbers in the latent, mean per shape" },
  latent_bytes: { label: "Latent bytes", unit: "as stored", formula: "size of the latent as stored, mean per shape" },
  sample_s: { label: "Sample", unit: "seconds", formula: "mean time to draw and order the points" },
  encode_s: { label: "Encode", unit: "seconds", formula: "mean time from points to latent, after a warm-up" },
  decode_s: { label: "Decode", unit: "seconds", formula: "mean time from latent to mesh" },
  peak_memory_mb: { label: "Memory", unit: "MB", formula: "mean peak main memory of the model alone" },
  cuda_peak_mb: { label: "GPU memory", unit: "MB", formula: "mean peak memory of the model on the GPU" },
};

const byId = (id) => document.getElementById(id);
const state = { suite: 0, group: "", columns: "overview", sort: "rank", down: false, entries: "best",
  failures: true, metric: "surface_f_0.005", hidden: new Set(), theme: "", viewer: "" };

function readAddress() {
  const fields = new URLSearchParams(location.hash.slice(1));
  for (const key of ["group", "columns", "sort", "entries", "metric", "theme", "viewer"]) {
    if (fields.has(key)) state[key] = fields.get(key);
  }
  state.suite = Math.max(0, DATA.suites.findIndex((suite) => suite.key === fields.get("suite")));
  state.down = fields.get("order") === "down";
  state.failures = fields.get("failures") !== "out";
  state.hidden = new Set(fields.getAll("hide"));
  if (!suite().groups.some((group) => group.id === state.group)) state.group = suite().groups[0].id;
  if (!METRICS.has(state.metric)) state.metric = DATA.ranking[0];
  if (!(state.columns in COLUMN_SETS)) state.columns = "overview";
}

function writeAddress() {
  const fields = new URLSearchParams();
  if (state.suite) fields.set("suite", suite().key);
  if (state.group !== suite().groups[0].id) fields.set("group", state.group);
  if (state.columns !== "overview") fields.set("columns", state.columns);
  if (state.sort !== "rank") fields.set("sort", state.sort);
  if (state.down) fields.set("order", "down");
  if (state.entries !== "best") fields.set("entries", state.entries);
  if (!state.failures) fields.set("failures", "out");
  if (state.metric !== DATA.ranking[0]) fields.set("metric", state.metric);
  if (state.theme) fields.set("theme", state.theme);
  if (state.viewer) fields.set("viewer", state.viewer);
  for (const name of state.hidden) fields.append("hide", name);
  history.replaceState(null, "", `#${fields}`);
}

const suite = () => DATA.suites[state.suite];

/** Rows of the chosen group and of the models that are shown, each with its own summary. */
function rowsOfGroup() {
  return suite().rows
    .filter((row) => row.groups[state.group] && !state.hidden.has(row.model))
    .map((row) => ({ model: row.model, tokens: row.tokens, ...row.groups[state.group] }));
}

/** [mean, low, high] of a row's metric, with or without failures at the worst value. */
function summaryOf(row, id) {
  const values = row.metrics[id];
  if (!values) return [null, null, null];
  return state.failures ? [values[WORST_MEAN], values[WORST_LOW], values[WORST_HIGH]]
    : [values[MEAN], values[LOW], values[HIGH]];
}

const costOf = (row, id) => row.costs[DATA.costs.indexOf(id)];

/** An element: make("button", {class: "x", onclick: f}, "text", child, ...). */
function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  return fill(element, attributes, children);
}

function makeSvg(name, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
}

function fill(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** The smallest raw value that does not print as zero: where logarithmic scales start. */
const leastShown = (id) => 0.5 * 10 ** -METRICS.get(id).decimals / METRICS.get(id).scale;

/** A metric's raw value as the papers print it. */
function show(id, value) {
  if (value === null || value === undefined) return "–";
  const metric = METRICS.get(id), scaled = value * metric.scale, size = Math.abs(scaled);
  // Distances run over decades: no more figures than tell anything.
  const long = metric.scale >= 1e4;
  const decimals = long && size >= 1000 ? 0 : long && size >= 100 ? 1 : metric.decimals;
  return scaled.toLocaleString("en-US", { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
}

function showCost(id, value) {
  if (value === null || value === undefined) return "–";
  if (id.endsWith("_s")) return value.toFixed(value < 10 ? 2 : 1);
  return Math.round(value).toLocaleString("en-US");
}

function showBytes(value) {
  if (value >= 1e6) return `${+(value / 1e6).toPrecision(3)} MB`;
  return value >= 1e3 ? `${+(value / 1e3).toPrecision(3)} kB` : `${Math.round(value)} B`;
}

const showTokens = (tokens) => (tokens > 0 ? tokens.toLocaleString("en-US") : "–");

const better = (id) => (METRICS.get(id).direction === "higher" ? "higher is better" : "lower is better");

/** Label without its unit, and the unit, from labels such as "surface CD-L1 ×1e4". */
function labelParts(id) {
  const label = METRICS.get(id).label, found = label.match(/^(.*?) ?(%|°|×\S+)?$/);
  const name = found[1].charAt(0).toUpperCase() + found[1].slice(1);
  const unit = found[2] === "×1e4" ? "×10⁴" : found[2] || "";
  return [name, unit];
}

/** Colour, marker and line of a model, the same everywhere on the page; 72 differ in one of them. */
function styleOf(model) {
  const index = suite().models.findIndex((other) => other.label === model);
  const trained = suite().models[index].kind !== "baseline", round = Math.floor(index / COLORS);
  return { color: `var(--c${index % COLORS})`, shape: (index + round) % MARKS.length, trained, round };
}

const COLORS = 12;
// Corners of the markers on a unit circle or square; the first is a disc.
const MARKS = [null, [[-0.9, -0.9], [0.9, -0.9], [0.9, 0.9], [-0.9, 0.9]], [[0, -1.15], [1.15, 0.92], [-1.15, 0.92]], [[0, -1.3], [1.3, 0], [0, 1.3], [-1.3, 0]],
  [[0, 1.15], [1.15, -0.92], [-1.15, -0.92]], [[-0.42, -1.2], [0.42, -1.2], [0.42, -0.42], [1.2, -0.42], [1.2, 0.42], [0.42, 0.42], [0.42, 1.2], [-0.42, 1.2], [-0.42, 0.42], [-1.2, 0.42], [-1.2, -0.42], [-0.42, -0.42]]];

/** Names cut to `most` letters in the middle, so that beginnings and ends that differ stay. */
function shortened(name, most) {
  if (name.length <= most) return name;
  const head = Math.ceil((most - 1) / 2);
  return `${name.slice(0, head)}…${name.slice(name.length - (most - 1 - head))}`;
}

/** Short names of several models, each different from the others: what they share is cut first. */
function shortNames(names, most) {
  const cut = new Map(names.map((name) => [name, shortened(name, most)]));
  const twice = (name) => names.filter((other) => cut.get(other) === cut.get(name)).length > 1;
  for (const name of names.filter(twice)) {
    const alike = names.filter((other) => cut.get(other) === cut.get(name));
    let start = 0;
    while (alike.every((other) => other[start] === name[start])) start += 1;
    const from = Math.max(0, Math.min(start - 2, name.length - most + 1));
    cut.set(name, `${from ? "…" : ""}${name.slice(from, from + most - 1)}`);
  }
  return cut;
}

const parts = new Map(); // name -> {promise, resolve}
window.doraPart = (name, value) => parts.get(name)?.resolve(value);

/** A part of the page that lies beside it: meshes or scores of single shapes. */
function loadPart(name) {
  if (!parts.has(name)) {
    const part = {};
    part.promise = new Promise((resolve, reject) => {
      part.resolve = resolve;
      const script = make("script", { src: `parts/${name}.js`, onerror: () => reject(new Error(`parts/${name}.js is missing beside the page`)) });
      document.head.append(script);
    });
    parts.set(name, part);
  }
  return parts.get(name).promise;
}

/** The marker of a model as an svg shape centred on (x, y); hollow for baselines. */
function marker(model, x, y, size = 4.5) {
  const { color, shape, trained } = styleOf(model);
  const look = { fill: trained ? color : "var(--card)", stroke: color, "stroke-width": 1.8 };
  if (!MARKS[shape]) return makeSvg("circle", { cx: x, cy: y, r: size, ...look });
  return makeSvg("polygon", { points: MARKS[shape].map(([a, b]) => `${x + size * a},${y + size * b}`).join(" "), ...look });
}

const swatch = (model) =>
  makeSvg("svg", { width: 13, height: 13, viewBox: "0 0 13 13", "aria-hidden": "true" }, marker(model, 6.5, 6.5, 4.3));

/** Show a tooltip beside a box {left, top, width, height} in the window. */
function showTip(box, ...content) {
  const tip = byId("tip");
  tip.replaceChildren(...content);
  tip.hidden = false;
  const width = tip.offsetWidth, height = tip.offsetHeight;
  const left = Math.min(Math.max(12, box.left + box.width / 2 - width / 2), innerWidth - width - 12);
  const above = box.top - height - 8;
  tip.style.left = `${left}px`;
  tip.style.top = `${above > 8 ? above : box.top + box.height + 8}px`;
}

const hideTip = () => { byId("tip").hidden = true; };

/** Explain an element on hover and on keyboard focus; `content()` gives the nodes. */
function explain(element, content) {
  const open = () => showTip(element.getBoundingClientRect(), ...content());
  element.addEventListener("pointerenter", open);
  element.addEventListener("focus", open);
  element.addEventListener("pointerleave", hideTip);
  element.addEventListener("blur", hideTip);
  return element;
}

/** Buttons of which one is pressed. */
function segments(container, choices, chosen, choose) {
  container.replaceChildren(...choices.map(([value, label]) => make("button", {
    type: "button", "aria-pressed": String(value === chosen), "data-value": value,
    onclick: () => {
      for (const button of container.children) button.setAttribute("aria-pressed", String(button.dataset.value === value));
      choose(value);
    },
  }, label)));
}

function options(select, choices, chosen) {
  select.replaceChildren(...choices.map(([value, label]) =>
    make("option", { value, selected: value === chosen }, label)));
}

/** Options of every metric that the suite has, by family. */
function metricOptions(select, chosen) {
  const families = { surface: "Surface (exact)", edges: "Edges", shape: "Volume", literature: "Point to point" };
  const present = new Set(suite().rows.flatMap((row) => Object.keys(row.groups.all.metrics)));
  select.replaceChildren(...Object.entries(families).map(([family, label]) =>
    make("optgroup", { label }, ...DATA.metrics
      .filter((metric) => metric.family === family && present.has(metric.id))
      .map((metric) => make("option", { value: metric.id, selected: metric.id === chosen }, labelParts(metric.id)[0])))));
}
