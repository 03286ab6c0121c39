// Two models shape by shape: one against the other, a click opens the shape.

const versus = { first: "", second: "", metric: "surface_cd_l1", places: [] };
const rowKey = (row) => `${row.model}@${row.tokens}`;

/** A row's key for people. */
function rowName(key) {
  const at = key.lastIndexOf("@"), tokens = Number(key.slice(at + 1));
  return tokens > 0 ? `${key.slice(0, at)} at ${showTokens(tokens)}` : key.slice(0, at);
}

/** Choices of both sides; by default the two best trained models of the chosen shapes. */
function setUpScatter() {
  const rows = suite().rows, names = rows.map((row) => [rowKey(row), rowName(rowKey(row))]);
  const section = byId("versus-section");
  section.hidden = rows.length < 2;
  if (section.hidden) return;
  const keys = new Set(rows.map(rowKey));
  const best = bestRows(rows.filter((row) => row.groups[state.group]).map((row) => ({ ...row, ...row.groups[state.group] })));
  const order = [...best.filter((row) => styleOf(row.model).trained), ...best.filter((row) => !styleOf(row.model).trained)];
  if (!keys.has(versus.first)) versus.first = rowKey(order[0]);
  if (!keys.has(versus.second)) versus.second = rowKey(order[1] ?? rows.find((row) => rowKey(row) !== versus.first));
  options(byId("versus-first"), names, versus.first);
  options(byId("versus-second"), names, versus.second);
  metricOptions(byId("versus-metric"), versus.metric);
  for (const key of ["first", "second", "metric"]) {
    byId(`versus-${key}`).onchange = (event) => { versus[key] = event.target.value; drawScatter(); };
  }
}

/** Values of one row along the suite's items, null where there is none. */
async function valuesOf(key) {
  const row = suite().rows.find((one) => rowKey(one) === key);
  const model = suite().models.find((one) => one.label === row.model);
  return (await loadPart(model.items))[String(row.tokens)][versus.metric] ?? [];
}

let scatterCalls = 0;
async function drawScatter() {
  if (byId("versus-section").hidden || !scatterSeen) return;
  const call = ++scatterCalls;
  const [items, xs, ys] = await Promise.all([loadPart(suite().items), valuesOf(versus.first), valuesOf(versus.second)]);
  if (call !== scatterCalls) return;
  const points = items.map(([id, level, split], i) => ({ id, level, split, x: xs[i] ?? null, y: ys[i] ?? null }))
    .filter((point) => inGroup(point) && point.x !== null && point.y !== null);
  const container = byId("scatter");
  if (!points.length) { container.replaceChildren(make("p", { class: "note" }, "No shape has this score of both.")); return; }
  container.replaceChildren(scatterSvg(points, container.clientWidth));
  scatterNote(points);
}

function scatterNote(points) {
  const sign = METRICS.get(versus.metric).direction === "higher" ? 1 : -1;
  const wins = points.filter((point) => sign * (point.x - point.y) > 0).length, losses = points.filter((point) => sign * (point.y - point.x) > 0).length;
  const [label, unit] = labelParts(versus.metric);
  byId("versus-note").textContent = `${label}${unit ? ` (${unit})` : ""}, ${better(versus.metric)}. ${rowName(versus.first)} is better on ${wins} shapes, ${rowName(versus.second)} on ${losses}, of ${points.length}. `
    + "A failure stands at the worst value. Click a point to see the shape.";
}

function scatterSvg(points, room) {
  const size = Math.max(280, Math.min(520, room || 520)), frame = { left: 58, right: 14, top: 12, bottom: 48 };
  const all = points.flatMap((point) => [point.x, point.y]), least = leastShown(versus.metric);
  const positive = all.filter((value) => value >= least);
  const log = METRICS.get(versus.metric).direction === "lower" && positive.length > 0 && Math.max(...all) / Math.min(...positive) > 20;
  const low = log ? Math.min(...positive) : Math.min(...all), high = Math.max(...all, low + 1e-12);
  const part = (value) => (log ? Math.log(Math.max(value, low) / low) / (Math.log(high / low) || 1) : (value - low) / (high - low || 1));
  const x = (value) => frame.left + 6 + (size - frame.left - frame.right - 12) * part(value);
  const y = (value) => size - frame.bottom - 6 - (size - frame.bottom - frame.top - 12) * part(value);
  const svg = makeSvg("svg", { viewBox: `0 0 ${size} ${size}`, width: size, height: size, tabindex: 0, role: "img",
    "aria-label": `${rowName(versus.second)} against ${rowName(versus.first)}, ${points.length} shapes; arrow keys walk through them, Enter opens one` });
  const ticks = log ? decadesBetween(low, high) : [low, (low + high) / 2, high];
  for (const value of ticks) {
    svg.append(makeSvg("line", { class: "grid", x1: x(value), x2: x(value), y1: frame.top, y2: size - frame.bottom }),
      makeSvg("line", { class: "grid", x1: frame.left, x2: size - frame.right, y1: y(value), y2: y(value) }),
      makeSvg("text", { x: x(value), y: size - frame.bottom + 16, "text-anchor": "middle" }, show(versus.metric, value)),
      makeSvg("text", { x: frame.left - 7, y: y(value) + 4, "text-anchor": "end" }, show(versus.metric, value)));
  }
  svg.append(makeSvg("line", { class: "floor", x1: x(low), y1: y(low), x2: x(high), y2: y(high) }),
    makeSvg("text", { class: "label", x: (frame.left + size - frame.right) / 2, y: size - 8, "text-anchor": "middle" }, shortened(rowName(versus.first), 42)),
    makeSvg("text", { class: "label", x: 14, y: (frame.top + size - frame.bottom) / 2, "text-anchor": "middle", transform: `rotate(-90 14 ${(frame.top + size - frame.bottom) / 2})` }, shortened(rowName(versus.second), 42)));
  const places = points.map((point) => ({ ...point, px: x(point.x), py: y(point.y) }));
  for (const place of places) svg.append(makeSvg("circle", { cx: place.px, cy: place.py, r: 3.6, fill: "var(--accent)", opacity: 0.6 }));
  walkShapes(svg, places);
  return svg;
}

function decadesBetween(low, high) {
  const ticks = [];
  const scale = METRICS.get(versus.metric).scale;
  for (let power = Math.ceil(Math.log10(low * scale)); 10 ** power <= high * scale; power += 1) ticks.push(10 ** power / scale);
  return ticks.length > 1 ? ticks : [low, high];
}

/** The nearest shape under the pointer, or the next by arrow keys: its values; click or Enter opens it. */
function walkShapes(svg, places) {
  const ring = makeSvg("circle", { r: 8, fill: "none", stroke: "var(--ink)", "stroke-width": 1.3, visibility: "hidden" });
  svg.append(ring);
  places.sort((a, b) => a.px - b.px || a.py - b.py);
  let current = -1;
  const pictured = new Set(suite().gallery.shapes.map((shape) => shape.id));
  const open = (index) => {
    current = index;
    const place = places[index];
    for (const [key, value] of [["cx", place.px], ["cy", place.py], ["visibility", "visible"]]) ring.setAttribute(key, value);
    showTip(ring.getBoundingClientRect(), make("b", {}, place.id), `${show(versus.metric, place.x)} against ${show(versus.metric, place.y)}`,
      make("small", {}, pictured.has(place.id) ? "Click to see it" : "No picture of this shape on the page"));
  };
  const close = () => { current = -1; ring.setAttribute("visibility", "hidden"); hideTip(); };
  const nearest = (event) => {
    const box = svg.getBoundingClientRect(), factor = svg.viewBox.baseVal.width / box.width;
    const px = (event.clientX - box.left) * factor, py = (event.clientY - box.top) * factor;
    let best = -1, least = 24 ** 2;
    places.forEach((place, i) => {
      const far = (place.px - px) ** 2 + (place.py - py) ** 2;
      if (far < least) [best, least] = [i, far];
    });
    return best;
  };
  svg.addEventListener("pointermove", (event) => { const best = nearest(event); if (best >= 0) open(best); else close(); });
  svg.addEventListener("pointerleave", close);
  svg.addEventListener("blur", close);
  svg.addEventListener("click", (event) => { const best = nearest(event); if (best >= 0) openShape(places[best].id); });
  svg.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (step) { event.preventDefault(); open((current + step + places.length) % places.length); }
    if (event.key === "Escape") close();
    if (event.key === "Enter" && current >= 0) openShape(places[current].id);
  });
}

/** The scores of single shapes are loaded when the section comes near the window. */
let scatterSeen = false;
new IntersectionObserver((entries, watching) => {
  if (!entries.some((entry) => entry.isIntersecting)) return;
  watching.disconnect();
  scatterSeen = true;
  drawScatter();
}, { rootMargin: "300px" }).observe(byId("versus-section"));
