// What every part shares: the data, the state (kept in the address), elements, numbers, tooltips.

const DATA = JSON.parse(document.getElementById("data").textContent);
const METRICS = new Map(DATA.metrics.map((metric) => [metric.id, metric]));
const MEAN = 0, MEDIAN = 1, LOW = 2, HIGH = 3, WORST_MEAN = 4, WORST_LOW = 5, WORST_HIGH = 6;
const COSTS = {
  latent_floats: { label: "Latent floats", unit: "count", formula: "numbers in the latent, mean per shape" },
  latent_bytes: { label: "Latent bytes", unit: "as stored", formula: "size of the latent as stored, mean per shape" },
  encode_s: { label: "Encode", unit: "seconds", formula: "mean time from shape to latent" },
  decode_s: { label: "Decode", unit: "seconds", formula: "mean time from latent to mesh" },
  peak_memory_mb: { label: "Memory", unit: "MB", formula: "mean peak memory of an item" },
};

const byId = (id) => document.getElementById(id);
const state = { suite: 0, group: "all", columns: "overview", sort: "rank", down: false, entries: "all",
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
  if (!suite().groups.some((group) => group.id === state.group)) state.group = "all";
  if (!METRICS.has(state.metric)) state.metric = DATA.ranking[0];
  if (!(state.columns in COLUMN_SETS)) state.columns = "overview";
}

function writeAddress() {
  const fields = new URLSearchParams();
  if (state.suite) fields.set("suite", suite().key);
  if (state.group !== "all") fields.set("group", state.group);
  if (state.columns !== "overview") fields.set("columns", state.columns);
  if (state.sort !== "rank") fields.set("sort", state.sort);
  if (state.down) fields.set("order", "down");
  if (state.entries !== "all") fields.set("entries", state.entries);
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
  if (id === "encode_s" || id === "decode_s") return value.toFixed(value < 10 ? 2 : 1);
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

/** Colour and marker of a model: the same everywhere on the page. */
function styleOf(model) {
  const index = suite().models.findIndex((other) => other.label === model);
  const trained = suite().models[index].kind !== "baseline";
  return { color: `var(--c${index % 8})`, shape: index % 4, trained };
}

/** The marker of a model as an svg shape centred on (x, y); hollow for baselines. */
function marker(model, x, y, size = 4.5) {
  const { color, shape, trained } = styleOf(model);
  const s = size * [1, 0.9, 1.15, 1.2][shape];
  const look = { fill: trained ? color : "var(--card)", stroke: color, "stroke-width": 1.8 };
  if (shape === 0) return makeSvg("circle", { cx: x, cy: y, r: s, ...look });
  if (shape === 1) return makeSvg("rect", { x: x - s, y: y - s, width: 2 * s, height: 2 * s, ...look });
  const points = shape === 2 ? [[0, -s], [s, s * 0.8], [-s, s * 0.8]] : [[0, -s], [s, 0], [0, s], [-s, 0]];
  return makeSvg("polygon", { points: points.map(([a, b]) => `${x + a},${y + b}`).join(" "), ...look });
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
