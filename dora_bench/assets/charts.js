// Curves: a metric against tokens and against latent bytes, log x, direct labels, one tooltip.

const CHART = { width: 600, height: 340, left: 54, right: 138, top: 14, bottom: 44 };

function drawCharts() {
  const id = state.metric, metric = METRICS.get(id), [label, unit] = labelParts(id);
  drawChart(byId("chart-tokens"), "Tokens", (row) => row.tokens, showTokens);
  drawChart(byId("chart-bytes"), "Latent size", (row) => costOf(row, "latent_bytes"), showBytes);
  byId("chart-note").textContent = `${label}${unit ? ` (${unit})` : ""}, ${better(id)}: ${metric.formula}. `
    + "Bars are 95 % intervals. Hollow marks and dashed lines are baselines, which have no tokens"
    + (id in (suite().floors[state.group] || {}) ? "; the dotted line is the noise floor." : ".");
}

/** Points {x, mean, low, high, row} by model, for the models shown. */
function seriesOf(xOf) {
  const series = new Map();
  for (const row of rowsOfGroup()) {
    const x = xOf(row), [mean, low, high] = summaryOf(row, state.metric);
    if (!(x >= 0) || x === null || mean === null) continue;
    if (!series.has(row.model)) series.set(row.model, []);
    const points = series.get(row.model);
    if (!points.some((point) => point.x === x && point.mean === mean)) points.push({ x, mean, low, high, row });
  }
  for (const points of series.values()) points.sort((a, b) => a.x - b.x);
  return series;
}

function drawChart(container, title, xOf, showX) {
  const series = seriesOf(xOf), points = [...series.values()].flat();
  if (!points.length) {
    container.replaceChildren(make("p", { class: "note" }, "No values for these shapes."));
    return;
  }
  const narrow = container.clientWidth < 460;
  const frame = { ...CHART, width: Math.max(300, Math.min(720, container.clientWidth || 600)), right: narrow ? 92 : 138, left: narrow ? 46 : 54 };
  const sizes = points.map((point) => point.x).filter((size) => size > 0);
  const x = logScale(sizes.length ? sizes : [1], frame.left, frame.width - frame.right);
  const y = valueScale(points, frame.height - frame.bottom, frame.top);
  const svg = makeSvg("svg", { viewBox: `0 0 ${frame.width} ${frame.height}`, tabindex: 0, role: "img",
    "aria-label": `${labelParts(state.metric)[0]} against ${title.toLowerCase()}; arrow keys walk through the points` });
  drawAxes(svg, frame, x, y, title, showX);
  const marks = makeSvg("g"), places = [];
  for (const [model, line] of series) {
    drawLine(svg, marks, model, line, x, y);
    for (const point of line) places.push({ model, point, x: x.at(point.x || x.last), y: y.at(point.mean) });
  }
  svg.append(marks);
  drawLabels(svg, frame, series, x, y);
  walkPoints(svg, places, title, showX);
  container.replaceChildren(svg);
}

function logScale(values, start, end) {
  const low = Math.min(...values), high = Math.max(...values);
  const span = Math.log(high / low) || 1, from = high === low ? 0.5 : 0;
  const inset = 12;
  const at = (value) => start + inset + (end - start - 2 * inset) * (Math.log(value / low) / span + from);
  const distinct = [...new Set(values)].sort((a, b) => a - b);
  const decades = [];
  for (let power = Math.ceil(Math.log10(low)); 10 ** power <= high; power += 1) decades.push(10 ** power);
  return { at, first: low, last: high, ticks: distinct.length <= 6 ? distinct : decades.length > 1 ? decades : [low, high] };
}

/** Linear, or logarithmic for errors that run over decades. */
function valueScale(points, bottom, top) {
  const metric = METRICS.get(state.metric);
  const ends = points.flatMap(({ mean, low, high }) => [mean, low ?? mean, high ?? mean]);
  const floor = (suite().floors[state.group] || {})[state.metric];
  if (floor !== undefined) ends.push(floor);
  let low = Math.min(...ends), high = Math.max(...ends);
  const least = leastShown(state.metric), positive = ends.filter((value) => value >= least);
  if (metric.direction === "lower" && positive.length && high / Math.min(...positive) > 20) {
    const zero = low < least; // a logarithm has no zero: it stands a step below the smallest value
    low = Math.min(...positive);
    const base = zero ? bottom - 26 : bottom;
    const at = (value) => (value >= least ? base + (top - base) * Math.log(value / low) / Math.log(high / low) : bottom);
    const ticks = zero ? [0] : [];
    for (let power = Math.floor(Math.log10(low * metric.scale)); power <= Math.log10(high * metric.scale); power += 1) {
      for (const factor of high / low > 900 ? [1] : [1, 2, 5]) {
        const value = factor * 10 ** power / metric.scale;
        if (value >= low * 0.999 && value <= high * 1.001) ticks.push(value);
      }
    }
    return { at, ticks, log: true, floor };
  }
  const step = niceStep((high - low) * metric.scale || 1) / metric.scale;
  low = Math.floor(low / step + 1e-9) * step;
  high = Math.ceil(high / step - 1e-9) * step;
  if (high === low) high = low + step;
  const ticks = [];
  for (let value = low; value <= high + step / 2; value += step) ticks.push(value);
  return { at: (value) => bottom + (top - bottom) * (value - low) / (high - low), ticks, log: false, floor };
}

function niceStep(span) {
  const raw = span / 5, power = 10 ** Math.floor(Math.log10(raw));
  return power * [1, 2, 5, 10].find((factor) => factor * power >= raw * 0.999);
}

function drawAxes(svg, frame, x, y, title, showX) {
  const end = frame.width - frame.right, bottom = frame.height - frame.bottom;
  const scale = METRICS.get(state.metric).scale;
  for (const value of y.ticks) {
    svg.append(makeSvg("line", { class: "grid", x1: frame.left, x2: end, y1: y.at(value), y2: y.at(value) }),
      makeSvg("text", { x: frame.left - 8, y: y.at(value) + 4, "text-anchor": "end" },
        (+(value * scale).toPrecision(4)).toLocaleString("en-US", { maximumFractionDigits: 8 })));
  }
  let last = -Infinity;
  for (const value of x.ticks) {
    if (x.at(value) - last < 46) continue;
    last = x.at(value);
    svg.append(makeSvg("line", { class: "axis", x1: last, x2: last, y1: bottom, y2: bottom + 4 }),
      makeSvg("text", { x: last, y: bottom + 18, "text-anchor": "middle" }, showX(value)));
  }
  svg.append(makeSvg("line", { class: "axis", x1: frame.left, x2: end, y1: bottom, y2: bottom }),
    makeSvg("text", { x: (frame.left + end) / 2, y: frame.height - 6, "text-anchor": "middle" },
      `${title}, log scale${y.log ? " (both axes)" : ""}`));
  if (y.floor !== undefined) {
    svg.append(makeSvg("line", { class: "floor", x1: frame.left, x2: end, y1: y.at(y.floor), y2: y.at(y.floor) }));
  }
}

function drawLine(svg, marks, model, line, x, y) {
  const { color, trained, round } = styleOf(model);
  const path = line.map((point) => [point.x || x.last, point.mean]);
  if (line[0].x === 0) path.unshift([x.first, line[0].mean]); // no tokens: one level for every count
  if (path.length > 1) {
    svg.append(makeSvg("polyline", { fill: "none", stroke: color, "stroke-width": trained ? 2.2 : 1.5,
      "stroke-dasharray": trained ? (round ? "1 3" : null) : round ? "2 5" : "5 4", "stroke-linejoin": "round",
      points: path.map(([size, mean]) => `${x.at(size)},${y.at(mean)}`).join(" ") }));
  }
  for (const { x: size, mean, low, high } of line) {
    const place = size || x.last;
    if (low !== null && low !== high) {
      svg.append(makeSvg("line", { x1: x.at(place), x2: x.at(place), y1: y.at(low), y2: y.at(high), stroke: color, "stroke-width": 4, "stroke-linecap": "round", opacity: 0.2 }));
    }
    marks.append(marker(model, x.at(place), y.at(mean)));
  }
}

/** Names at the right edge, pushed apart, each joined to the last point of its line. */
function drawLabels(svg, frame, series, x, y) {
  const edge = frame.width - frame.right + 12, room = frame.right - 16;
  const short = shortNames([...series.keys()], Math.floor(room / 7.8));
  const labels = [...series].map(([model, line]) => {
    const last = line[line.length - 1];
    return { model, fromX: x.at(last.x || x.last), fromY: y.at(last.mean), y: y.at(last.mean) };
  }).sort((a, b) => a.y - b.y);
  const bottom = frame.height - frame.bottom, gap = Math.min(15, (bottom - frame.top) / Math.max(1, labels.length - 1));
  labels.forEach((label, i) => { if (i) label.y = Math.max(label.y, labels[i - 1].y + gap); });
  for (let i = labels.length - 1; i >= 0; i -= 1) {
    labels[i].y = Math.min(labels[i].y, i === labels.length - 1 ? bottom : labels[i + 1].y - gap);
  }
  for (const label of labels) {
    const { color } = styleOf(label.model);
    svg.append(makeSvg("path", { d: `M${label.fromX + 7},${label.fromY}L${Math.max(edge - 10, label.fromX + 7)},${label.fromY}L${edge - 2},${label.y}`,
      fill: "none", stroke: color, "stroke-width": 0.8, opacity: 0.45 }));
    svg.append(makeSvg("text", { class: "label", x: edge, y: label.y + 4, style: `fill: ${color}` }, short.get(label.model), makeSvg("title", {}, label.model)));
  }
}

/** The nearest point under the pointer, or the next one by arrow keys, gets a ring and a tooltip. */
function walkPoints(svg, places, title, showX) {
  const ring = makeSvg("circle", { r: 9, fill: "none", stroke: "var(--ink)", "stroke-width": 1.2, visibility: "hidden" });
  svg.append(ring);
  places.sort((a, b) => a.x - b.x || a.y - b.y);
  let current = -1;
  const open = (index) => {
    current = index;
    const { model, point, x, y } = places[index];
    for (const [key, value] of [["cx", x], ["cy", y], ["visibility", "visible"]]) ring.setAttribute(key, value);
    const [label, unit] = labelParts(state.metric);
    const range = point.low === null ? "" : ` (${show(state.metric, point.low)} – ${show(state.metric, point.high)})`;
    showTip(ring.getBoundingClientRect(), make("b", {}, model),
      `${label} ${show(state.metric, point.mean)}${unit ? ` ${unit}` : ""}${range}`,
      make("small", {}, `${point.row.tokens > 0 ? `${showTokens(point.row.tokens)} tokens, ` : ""}${showBytes(costOf(point.row, "latent_bytes") ?? 0)}, ${point.row.ok}/${point.row.total} done`));
  };
  const close = () => { ring.setAttribute("visibility", "hidden"); hideTip(); };
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect(), factor = svg.viewBox.baseVal.width / box.width;
    const px = (event.clientX - box.left) * factor, py = (event.clientY - box.top) * factor;
    let best = -1, least = 40 ** 2;
    places.forEach((place, i) => {
      const far = (place.x - px) ** 2 + (place.y - py) ** 2;
      if (far < least) [best, least] = [i, far];
    });
    if (best >= 0) open(best); else close();
  });
  svg.addEventListener("pointerleave", close);
  svg.addEventListener("blur", close);
  svg.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (step) { event.preventDefault(); open((current + step + places.length) % places.length); }
    if (event.key === "Escape") close();
  });
}
