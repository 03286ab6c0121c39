// Start: read the address, set up the controls, draw.

function drawHeader() {
  const { name, hash, key, models, rows, groups, conditions } = suite();
  const [first] = groups, heldOut = first.id === "split:held-out"; // where there is one, it is what counts
  const all = rows.filter((row) => row.groups[first.id]).map((row) => ({ ...row.groups[first.id], model: row.model, tokens: row.tokens }));
  const entries = all.length, shapes = Math.max(...all.map((row) => row.total));
  const astray = all.reduce((sum, row) => sum + (row.failures.misplaced ?? 0), 0); // scored all the same
  const failed = all.reduce((sum, row) => sum + row.total - row.ok, 0) - astray;
  const told = [failed ? `${failed.toLocaleString("en-US")} of ${all.reduce((sum, row) => sum + row.total, 0).toLocaleString("en-US")} reconstructions failed and count as the worst` : "none failed",
    ...(astray ? [`${astray.toLocaleString("en-US")} seem misplaced and are scored as they lie`] : [])];
  const kinds = new Set(models.filter((model) => model.kind !== "baseline").map((model) => model.label));
  const winner = all.filter((row) => kinds.has(row.model)).sort((a, b) => a.rank - b.rank)[0] ?? all.sort((a, b) => a.rank - b.rank)[0];
  const [metric] = DATA.ranking;
  byId("lead").replaceChildren(`${models.length} ${models.length === 1 ? "model" : "models"} in ${entries} settings, each on ${shapes} ${heldOut ? "held-out shapes" : "shapes"}`,
    `; ${told.join(", ")}. `,
    kinds.size ? `Best trained model${heldOut ? " on shapes it never saw" : ""}: ` : "Best: ", make("b", {}, winner.tokens > 0 ? `${winner.model} at ${showTokens(winner.tokens)} tokens` : winner.model),
    ` with ${labelParts(metric)[0].replace("Surface", "surface")} of `, make("b", {}, `${show(metric, winner.metrics[metric]?.[WORST_MEAN])}\u00a0${labelParts(metric)[1]}`), ".");
  const settings = models[0].settings, same = (field) => models.every((model) => model.settings[field] === settings[field]);
  const facts = [["Suite", DATA.suites.length > 1 ? suiteSelect() : make("span", {}, name, hash ? " " : "", hash ? make("code", { title: key }, `@${hash.slice(0, 12)}`) : "")],
    ["Shapes", groups.filter((group) => /^L\d/.test(group.id)).map((group) => `${group.count} ${group.label}`).join(", ") || String(shapes)]];
  if (conditions) facts.push(["Made under", conditions]);
  if (settings.points && same("points")) facts.push(["Points per score", settings.points.toLocaleString("en-US")]);
  if (settings.resolution && same("resolution")) facts.push(["Decoded at", `${settings.resolution}³`]);
  if (settings.posterior && same("posterior")) facts.push(["Posterior", settings.posterior]);
  if (models[0].sne) facts.push(["Normal error", models[0].sne]);
  if (settings.seed !== undefined && same("seed")) facts.push(["Seed", String(settings.seed)]);
  byId("facts").replaceChildren(...facts.map(([term, value]) => make("div", {}, make("dt", {}, term), make("dd", {}, value))));
  document.title = `Dora-bench: ${name}`;
}

function suiteSelect() {
  const select = make("select", { "aria-label": "Suite", onchange: () => {
    Object.assign(state, { suite: select.selectedIndex, group: DATA.suites[select.selectedIndex].groups[0].id, hidden: new Set(), entries: "best" });
    setUp();
  } });
  options(select, DATA.suites.map((one) => [one.key, `${one.name}@${one.hash.slice(0, 8)}${one.conditions ? ` (${one.conditions})` : ""}`]), suite().key);
  return select;
}

/** Tabs as the ARIA practices want them: one tab stop, arrows, Home and End. */
function drawTabs() {
  const { groups } = suite(), container = byId("groups");
  const children = [];
  groups.forEach((group, i) => {
    if (i && group.id.startsWith("split:") !== groups[i - 1].id.startsWith("split:")) children.push(make("span", { class: "divide", "aria-hidden": "true" }));
    const chosen = group.id === state.group;
    children.push(make("button", { type: "button", role: "tab", id: `tab-${i}`, "data-group": group.id, "aria-controls": "panel",
      "aria-selected": String(chosen), tabindex: chosen ? 0 : -1, onclick: () => chooseGroup(group.id) }, group.label, make("small", {}, String(group.count))));
    if (chosen) byId("panel").setAttribute("aria-labelledby", `tab-${i}`);
  });
  container.replaceChildren(...children);
  container.onkeydown = (event) => {
    const at = groups.findIndex((group) => group.id === state.group), last = groups.length - 1;
    const to = { ArrowRight: at === last ? 0 : at + 1, ArrowLeft: at === 0 ? last : at - 1, Home: 0, End: last }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    chooseGroup(groups[to].id);
  };
}

function chooseGroup(id) {
  state.group = id;
  Object.assign(gallery, { shown: PAGE, only: "" });
  drawTabs();
  const tab = document.querySelector("[role=tab][aria-selected=true]");
  tab.focus({ preventScroll: true });
  tab.scrollIntoView({ block: "nearest", inline: "nearest" });
  drawAll();
}

function drawLegend() {
  byId("legend").replaceChildren(...suite().models.map(({ label }) => make("button", { type: "button", "aria-pressed": String(!state.hidden.has(label)),
    title: "Show or hide", onclick: (event) => {
      if (!state.hidden.delete(label)) state.hidden.add(label);
      event.currentTarget.setAttribute("aria-pressed", String(!state.hidden.has(label)));
      drawAll();
    } }, swatch(label), label)));
}

function drawMethod() {
  const present = new Set(suite().rows.flatMap((row) => Object.keys(row.groups.all.metrics)));
  byId("definitions").replaceChildren(...DATA.metrics.filter((metric) => present.has(metric.id)).flatMap((metric) => {
    const [label, unit] = labelParts(metric.id);
    return [make("dt", {}, `${label}${unit ? ` (${unit})` : ""}`), make("dd", {}, `${metric.formula}; ${better(metric.id)}. A failure scores ${show(metric.id, metric.worst)}.`)];
  }));
  byId("runs").replaceChildren(...suite().models.map((model) => {
    const words = (fields) => Object.entries(fields).map(([key, value]) => `${key} ${value}`).join(", ");
    return make("details", {}, make("summary", {}, swatch(model.label), " ", model.label, make("small", {}, model.kind)),
      make("p", {}, [model.weights ? `weights ${model.weights}` : "", model.device ? `device ${model.device}` : "", words(model.settings), words(model.versions)].filter(Boolean).join("; ")));
  }));
}

function applyTheme() {
  const dark = state.theme ? state.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "dark" : "light";
}

function drawAll() {
  writeAddress();
  hideTip();
  drawTable();
  drawCharts();
  drawScatter();
  drawGallery();
}

function setUp() {
  const counts = [...new Set(suite().rows.map((row) => row.tokens))].filter((tokens) => tokens > 0).sort((a, b) => a - b);
  if (!["all", "best", ...counts.map(String)].includes(state.entries)) state.entries = "best";
  options(byId("entries"), [["best", "one a model, its best count"], ["all", "all"], ...counts.map((tokens) => [String(tokens), `${showTokens(tokens)} tokens`])], state.entries);
  segments(byId("columns"), Object.entries(COLUMN_SETS).map(([id, [label]]) => [id, label]), state.columns,
    (id) => { state.columns = id; writeAddress(); drawTable(); });
  metricOptions(byId("chart-metric"), state.metric);
  byId("failures").checked = state.failures;
  drawHeader();
  drawTabs();
  drawLegend();
  drawMethod();
  setUpScatter();
  setUpGallery();
  drawAll();
}

readAddress();
applyTheme();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", applyTheme);
addEventListener("beforeprint", () => { document.documentElement.dataset.theme = "light"; });
addEventListener("afterprint", applyTheme);
byId("theme").onclick = () => {
  state.theme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  applyTheme();
  writeAddress();
};
byId("entries").onchange = (event) => { state.entries = event.target.value; writeAddress(); drawTable(); };
byId("failures").onchange = (event) => { state.failures = event.target.checked; drawAll(); };
byId("chart-metric").onchange = (event) => { state.metric = event.target.value; writeAddress(); drawCharts(); };
new ResizeObserver(([{ target }]) => document.documentElement.style.setProperty("--bar", `${target.offsetHeight}px`)).observe(document.querySelector(".bar"));
byId("csv").onclick = downloadCsv;
for (const strip of document.querySelectorAll(".strip")) watchOverflow(strip);
let width = innerWidth;
addEventListener("resize", () => {
  if (innerWidth === width) return;
  width = innerWidth;
  drawCharts();
  drawScatter();
  for (const one of cases.values()) refresh(one);
});
setUp();
