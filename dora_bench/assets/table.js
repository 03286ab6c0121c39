// The ranking: sortable, with intervals as text and as whiskers on one scale per column.

const COLUMN_SETS = {
  overview: ["Overview", ["surface_f_0.005", "surface_cd_l1", "edge_f_0.005", "normal_consistency", "sne", "iou", "latent_bytes"]],
  surface: ["Surface", (metric) => metric.family === "surface" || metric.id === "iou"],
  edges: ["Edges", (metric) => metric.family === "edges"],
  literature: ["Point to point", (metric) => metric.family === "literature"],
  cost: ["Cost", ["surface_f_0.005", "latent_floats", "latent_bytes", "sample_s", "encode_s", "decode_s", "peak_memory_mb", "cuda_peak_mb"]],
};

function columnIds() {
  const wanted = COLUMN_SETS[state.columns][1];
  const ids = typeof wanted === "function" ? DATA.metrics.filter(wanted).map((metric) => metric.id) : wanted;
  const present = new Set(suite().rows.flatMap((row) => Object.keys(row.groups.all.metrics)));
  const costs = (id) => !["sample_s", "cuda_peak_mb"].includes(id) || suite().rows.some((row) => costOf(row.groups[state.group] ?? row.groups.all, id) !== null);
  return ids.filter((id) => (id in COSTS ? costs(id) : present.has(id)));
}

/** The row of each model with the best rank, in the order of ranks. */
function bestRows(rows) {
  const best = new Map();
  for (const row of rows) {
    const kept = best.get(row.model);
    if (!kept || row.rank < kept.rank) best.set(row.model, row);
  }
  return [...best.values()].sort((a, b) => a.rank - b.rank || a.model.localeCompare(b.model));
}

/** The rows the table shows: each model's best, all, or one token count. */
function tableRows() {
  let rows = rowsOfGroup();
  if (state.entries === "best") rows = bestRows(rows);
  else if (state.entries !== "all") {
    rows = rows.filter((row) => String(row.tokens) === state.entries || row.tokens <= 0);
  }
  const ranks = rows.map((row) => row.rank); // the place among the rows that are shown
  rows = rows.map((row) => ({ ...row, rank: 1 + ranks.filter((rank) => rank < row.rank).length }));
  const value = (row) => sortValue(row, state.sort);
  const sign = state.down ? -1 : 1;
  return rows.sort((a, b) => {
    const x = value(a), y = value(b);
    if (x === null || y === null) return (x === null) - (y === null) || a.rank - b.rank;
    const order = typeof x === "string" ? x.localeCompare(y) : x - y;
    return sign * order || a.rank - b.rank || a.model.localeCompare(b.model) || a.tokens - b.tokens;
  });
}

function sortValue(row, id) {
  if (id === "rank" || id === "tokens" || id === "model") return row[id];
  if (id === "ok") return row.ok / row.total;
  return id in COSTS ? costOf(row, id) : summaryOf(row, id)[0];
}

function drawTable() {
  const rows = tableRows(), ids = columnIds();
  const table = make("table", {}, headOf(ids), make("tbody", {}, ...bodyOf(rows, ids)));
  const floors = suite().floors[state.group] || {};
  if (ids.some((id) => id in floors)) {
    table.append(make("tfoot", {}, make("tr", {},
      make("td"), make("th", { scope: "row", class: "left pin" }, "Noise floor"), make("td", { class: "wide", colspan: 2 }),
      ...ids.map((id) => make("td", {}, id in floors ? show(id, floors[id]) : "")))));
  }
  byId("table").replaceChildren(table);
  byId("table-note").textContent = tableNote(ids.some((id) => id in floors));
}

/** The table as it is shown, as CSV with raw values: what its columns and rows are, in its order. */
function csvOfTable() {
  const ids = columnIds(), quoted = (value) => (/[",\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);
  const fields = ids.flatMap((id) => (id in COSTS ? [id] : [id, `${id}_ci_low`, `${id}_ci_high`]));
  const lines = tableRows().map((row) => [suite().key, state.group, row.rank, row.model, row.tokens, row.ok, row.total,
    ...ids.flatMap((id) => (id in COSTS ? [costOf(row, id)] : summaryOf(row, id)))].map((value) => quoted(value === null || value === undefined ? "" : String(value))).join(","));
  return [["suite", "group", "rank", "model", "tokens", "n_ok", "n_total", ...fields].join(","), ...lines, ""].join("\n");
}

function downloadCsv() {
  const address = URL.createObjectURL(new Blob([csvOfTable()], { type: "text/csv" }));
  make("a", { href: address, download: `${suite().name}-${state.group.replace("split:", "")}-${state.columns}.csv` }).click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}

function tableNote(hasFloors) {
  const how = state.failures ? "Means count a failed shape at the metric's worst value"
    : "Means leave failed shapes out";
  return `${how}; ranges are 95 % bootstrap intervals over shapes. Ranked by `
    + DATA.ranking.map((id) => labelParts(id)[0].replace("Surface", "surface")).join(", then ")
    + ", failures at the worst value; equal scores share a rank."
    + (hasFloors ? " The noise floor is what the truth scores against a second sampling of itself: "
      + "nothing can be told apart beyond it." : "");
}

function headOf(ids) {
  const fixed = [["rank", "#", "rank"], ["model", "Model", "model pin"], ["tokens", "Tokens", "wide"], ["ok", "Done", "wide"]];
  const cells = fixed.map(([id, label, css]) => headCell(id, label, "", css, {
    rank: "Place among the rows shown", model: "A filled mark is a trained model, a hollow one a baseline",
    tokens: "Latent tokens given to the model", ok: "Shapes that gave a mesh, of all shapes",
  }[id]));
  for (const id of ids) {
    if (id in COSTS) cells.push(headCell(id, COSTS[id].label, COSTS[id].unit, "", COSTS[id].formula));
    else {
      const [label, unit] = labelParts(id);
      const arrow = METRICS.get(id).direction === "higher" ? "↑" : "↓";
      cells.push(headCell(id, label, `${unit} ${arrow}`.trim(), "", METRICS.get(id).formula, better(id)));
    }
  }
  return make("thead", {}, make("tr", {}, ...cells));
}

function headCell(id, label, unit, css, text, direction = "") {
  const chosen = state.sort === id;
  const button = make("button", { type: "button", "data-sort": id, onclick: () => sortBy(id) },
    label, chosen ? (state.down ? " ▾" : " ▴") : "", unit ? make("span", { class: "unit" }, unit) : "");
  explain(button, () => [make("b", {}, label), make("small", {}, text), direction ? make("small", {}, direction) : ""]);
  return make("th", { scope: "col", class: css, "aria-sort": chosen ? (state.down ? "descending" : "ascending") : null }, button);
}

/** Sort by a column, its better end first; again: the other way round. */
function sortBy(id) {
  const higherFirst = id === "ok" || (METRICS.has(id) && METRICS.get(id).direction === "higher");
  state.down = state.sort === id ? !state.down : higherFirst;
  state.sort = id;
  hideTip();
  writeAddress();
  drawTable();
  document.querySelector(`[data-sort="${CSS.escape(id)}"]`).focus({ preventScroll: true });
}

function bodyOf(rows, ids) {
  const columns = new Map(ids.filter((id) => METRICS.has(id)).map((id) => [id, columnScale(rows, id)]));
  return rows.map((row) => make("tr", {},
    make("td", { class: "rank" }, String(row.rank)),
    make("th", { class: "model pin", scope: "row" }, make("button", { type: "button", class: "name", title: "Licence, data, who ran it, settings", onclick: () => openCard(row.model) }, swatch(row.model), row.model),
      make("span", { class: "sub" }, `${row.tokens > 0 ? `${showTokens(row.tokens)} tokens, ` : ""}${row.ok}/${row.total}`)),
    make("td", { class: "wide" }, showTokens(row.tokens)),
    doneCell(row),
    ...ids.map((id) => (id in COSTS ? make("td", {}, showCost(id, costOf(row, id))) : scoreCell(row, id, columns.get(id))))));
}

function doneCell(row) {
  const text = `${row.ok}/${row.total}`;
  if (row.ok === row.total) return make("td", { class: "same wide" }, text);
  const why = Object.entries(row.failures).map(([status, count]) => `${count} ${status}`).join(", ");
  return explain(make("td", { class: "fail wide", tabindex: 0 }, text), () => [make("b", {}, `${row.total - row.ok} of ${row.total} are not ok`), make("small", {}, why)]);
}

/** Ends of the whiskers and the best printed value of a column. */
function columnScale(rows, id) {
  const summaries = rows.map((row) => summaryOf(row, id)).filter(([mean]) => mean !== null);
  const ends = summaries.flat().filter((value) => value !== null);
  const positive = ends.filter((value) => value >= leastShown(id));
  const high = Math.max(...ends), log = METRICS.get(id).direction === "lower" && high / Math.min(...positive) > 30;
  const low = log ? Math.min(...positive) : Math.min(...ends);
  const means = summaries.map(([mean]) => mean);
  const best = METRICS.get(id).direction === "higher" ? Math.max(...means) : Math.min(...means);
  const place = (value) => (log ? Math.log(Math.max(value, low) / low) / Math.log(high / low) : (value - low) / (high - low || 1));
  return { place, best: show(id, best) };
}

function scoreCell(row, id, scale) {
  const [mean, low, high] = summaryOf(row, id);
  if (mean === null) return make("td", { class: "same" }, "–");
  const cell = make("td", { class: show(id, mean) === scale.best ? "best" : null }, make("span", { class: "value" }, show(id, mean)));
  if (low === null) return cell;
  cell.append(make("span", { class: "range" }, `${show(id, low)} – ${show(id, high)}`));
  const at = (value) => 2 + 96 * scale.place(value);
  const { color } = styleOf(row.model);
  cell.append(makeSvg("svg", { class: "whisker", "aria-hidden": "true" },
    makeSvg("line", { x1: "0%", x2: "100%", y1: 3.5, y2: 3.5, stroke: "var(--hair)", "stroke-width": 1 }),
    makeSvg("line", { x1: `${at(low)}%`, x2: `${at(high)}%`, y1: 3.5, y2: 3.5, stroke: color, "stroke-width": 3, "stroke-linecap": "round", opacity: 0.4 }),
    makeSvg("circle", { cx: `${at(mean)}%`, cy: 3.5, r: 2.6, fill: color })));
  return cell;
}
