// Truth and predictions side by side: one camera per shape, drawn only while on screen.

const HOME = { azimuth: 0.65, elevation: 0.42, zoom: 1 };
const PAGE = 6;
const gallery = { compare: "", metric: "surface_cd_l1", model: "", order: "worst", shade: "shaded", shown: PAGE, only: "" };
let renderer = null;
let watcher = null;
const cases = new Map(); // element on screen or not -> its case
const dirty = new Set();

function setUpGallery() {
  const { shapes } = suite().gallery;
  byId("gallery-section").hidden = !shapes.length;
  if (!shapes.length) return;
  const counts = [...new Set(suite().rows.map((row) => row.tokens))].filter((tokens) => tokens > 0).sort((a, b) => a - b);
  const labels = suite().models.map((model) => model.label);
  const choices = (counts.length ? counts : [0])
    .map((tokens) => [`t${tokens}`, tokens ? `models at ${showTokens(tokens)} tokens` : "models"])
    .concat(labels.filter((label) => suite().rows.filter((row) => row.model === label).length > 1).map((label) => [`m${label}`, `token counts of ${label}`]));
  if (!choices.some(([value]) => value === gallery.compare)) gallery.compare = choices[Math.max(0, counts.length - 1)][0];
  if (!labels.includes(gallery.model)) gallery.model = "";
  options(byId("gallery-compare"), choices, gallery.compare);
  options(byId("gallery-model"), [["", "any shown"], ...labels.map((label) => [label, label])], gallery.model);
  metricOptions(byId("gallery-metric"), gallery.metric);
  segments(byId("gallery-shading"), [["shaded", "Shaded"], ["normals", "Normals"], ["distance", "Distance to truth"]], gallery.shade,
    (shade) => { gallery.shade = shade; galleryNote(); for (const one of cases.values()) dirty.add(one); redraw(); });
  for (const key of ["compare", "metric", "model", "order"]) {
    byId(`gallery-${key}`).onchange = (event) => { gallery[key] = event.target.value; gallery.shown = PAGE; drawGallery(); };
  }
  byId("gallery-more").onclick = () => {
    if (gallery.only) gallery.only = "";
    else gallery.shown += PAGE;
    drawGallery();
  };
}

/** Show one shape alone, under the two models that are compared. */
function openShape(id) {
  hideTip();
  if (!suite().gallery.shapes.some((shape) => shape.id === id)) return;
  gallery.only = id;
  const tokens = Math.max(...[versus.first, versus.second].map((key) => Number(key.slice(key.lastIndexOf("@") + 1))));
  const wanted = `t${tokens}`;
  if ([...byId("gallery-compare").options].some((option) => option.value === wanted)) {
    gallery.compare = wanted;
    byId("gallery-compare").value = wanted;
  }
  drawGallery();
  byId("shapes").scrollIntoView({ block: "start" });
}

/** The rows compared beside the truth: [model, tokens] pairs. */
function comparedRows() {
  const wanted = gallery.compare.slice(1), byTokens = gallery.compare.startsWith("t");
  return suite().rows.filter((row) => (byTokens ? (row.tokens === Number(wanted) || row.tokens <= 0) && !state.hidden.has(row.model)
    : row.model === wanted)).sort((a, b) => (byTokens ? 0 : a.tokens - b.tokens));
}

const inGroup = (shape) => ["all", `L${shape.level}`, `L${shape.level}:${shape.split}`, `split:${shape.split}`].includes(state.group);

/** A shape's value for ordering: its worst among the compared rows, a failure worst of all. */
function orderValue(shape, rows, metricIndex) {
  const { direction } = DATA.metrics[metricIndex];
  let worst = null;
  for (const row of rows) {
    if (gallery.model && gallery.compare.startsWith("t") && row.model !== gallery.model) continue;
    const score = shape.scores[`${row.model}@${row.tokens}`];
    if (!score) continue;
    const raw = isScored(score) ? score.values[metricIndex] : DATA.metrics[metricIndex].worst;
    if (raw === null) continue;
    const bad = direction === "higher" ? -raw : raw;
    if (worst === null || bad > worst) worst = bad;
  }
  return worst;
}

function drawGallery() {
  const { shapes } = suite().gallery;
  if (!shapes.length) return;
  const rows = comparedRows(), metricIndex = DATA.metrics.findIndex((metric) => metric.id === gallery.metric);
  const values = new Map(shapes.map((shape) => [shape, orderValue(shape, rows, metricIndex)]));
  const sign = gallery.order === "worst" ? -1 : 1;
  const listed = shapes.filter((shape) => (gallery.only ? shape.id === gallery.only : inGroup(shape))).sort((a, b) => {
    const x = values.get(a), y = values.get(b);
    if (gallery.order === "name" || x === y) return a.id.localeCompare(b.id);
    return x === null || y === null ? (x === null) - (y === null) : sign * (x - y);
  });
  watcher?.disconnect();
  watcher = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      const one = cases.get(entry.target);
      if (!one) continue;
      one.visible = entry.isIntersecting;
      if (one.visible) dirty.add(one);
    }
    redraw();
  }, { rootMargin: "200px" });
  const cameras = new Map([...cases.values()].map((one) => [one.shape, one.camera]));
  cases.clear();
  dirty.clear();
  byId("gallery").replaceChildren(...listed.slice(0, gallery.shown).map((shape) => {
    const one = makeCase(shape, rows, metricIndex, cameras.get(shape) ?? { ...HOME });
    cases.set(one.element, one);
    watcher.observe(one.element);
    return one.element;
  }));
  const more = byId("gallery-more");
  more.hidden = !gallery.only && listed.length <= gallery.shown;
  more.textContent = gallery.only ? "Show all shapes again" : `Show ${Math.min(PAGE, listed.length - gallery.shown)} more of ${listed.length}`;
  galleryNote(listed.length);
}

function galleryNote(listed = null) {
  const note = byId("gallery-note"), { shapes, scored } = suite().gallery;
  const [low, high] = DATA.distanceRange;
  const count = listed === 0 ? "No shape of this group has pictures. "
    : shapes.length < scored ? `Pictures of the ${shapes.length} hardest of ${scored} shapes, decimated to at most 6,000 faces. `
      : "Meshes are decimated to at most 6,000 faces. ";
  note.replaceChildren(`${count}Drag to turn all views of a shape; click, then scroll to zoom; arrow keys, + and −, 0 to reset.`);
  if (gallery.shade === "distance") {
    const stops = RAMP.map((color) => `rgb(${color.map((value) => Math.round(255 * value)).join(" ")})`).join(", ");
    note.append(make("br"), "Distance of the prediction to the truth: ", `${low} or less`,
      make("span", { class: "scale", style: `background: linear-gradient(90deg, ${stops})` }), `${high} or more (log scale, shape length 2).`);
  }
}

function makeCase(shape, rows, metricIndex, camera) {
  const one = { shape, camera, visible: false, tiles: [] };
  const scores = rows.map((row) => shape.scores[`${row.model}@${row.tokens}`]);
  const best = bestOf(scores, metricIndex);
  const tiles = make("div", { class: "tiles", tabindex: 0, role: "group",
    "aria-label": `Views of ${shape.id}: arrow keys turn, plus and minus zoom, 0 resets` },
  makeTile(one, "Truth", "", shape.truth, null, null),
  ...rows.map((row, i) => makeTile(one, gallery.compare.startsWith("t") ? row.model : `${showTokens(row.tokens)} tokens`,
    row.model, scores[i]?.mesh ?? null, scores[i], metricIndex, best)));
  const chips = [`L${shape.level}`, shape.split, shape.edges === null ? "" : `${shape.edges.toLocaleString("en-US")} salient edges`];
  const larger = make("button", { type: "button", class: "quiet", "aria-pressed": "false", onclick: () => {
    larger.setAttribute("aria-pressed", String(one.element.classList.toggle("large")));
    larger.textContent = one.element.classList.contains("large") ? "Smaller" : "Larger";
    refresh(one);
  } }, "Larger");
  one.element = make("article", { class: "case" }, make("header", {}, make("h3", {}, shape.id),
    ...chips.filter(Boolean).map((text) => make("span", { class: "chip" }, text)), larger), tiles);
  steer(one, tiles);
  return one;
}

/** The best printed value among successful scores. */
function bestOf(scores, metricIndex) {
  const metric = DATA.metrics[metricIndex];
  const values = scores.filter((score) => score?.status === "ok" && score.values[metricIndex] !== null).map((score) => score.values[metricIndex]);
  if (values.length < 2) return null;
  return show(metric.id, metric.direction === "higher" ? Math.max(...values) : Math.min(...values));
}

function makeTile(one, label, model, mesh, score, metricIndex, best) {
  const stage = make("div", { class: "stage" });
  if (mesh !== null) {
    const canvas = make("canvas", { "aria-hidden": "true" });
    one.tiles.push({ canvas, mesh, truth: score === null });
    stage.append(canvas);
  } else {
    stage.append(make("div", { class: "none" }, score && score.status !== "ok" ? make("b", {}, score.status) : "no picture",
      score?.reason ? make("span", {}, score.reason) : ""));
  }
  const caption = make("div", { class: "caption" }, make("span", { title: label }, model ? swatch(model) : "", model ? " " : "", label));
  if (score && isScored(score)) {
    const id = DATA.metrics[metricIndex].id, value = show(id, score.values[metricIndex]);
    caption.append(make("span", { class: value === best ? "number best" : "number", title: METRICS.get(id).label }, value),
      score.status === "ok" ? "" : make("span", { title: score.reason }, ` (${score.status})`));
  }
  return make("div", { class: "tile" }, stage, caption);
}

/** Pointer, wheel and keys turn all views of a case together. */
function steer(one, tiles) {
  const { camera } = one, touches = new Map();
  const turn = (right, up) => {
    camera.azimuth -= right;
    camera.elevation = Math.max(-1.55, Math.min(1.55, camera.elevation + up));
    refresh(one);
  };
  const zoom = (factor) => { camera.zoom = Math.max(0.4, Math.min(12, camera.zoom * factor)); refresh(one); };
  tiles.addEventListener("pointerdown", (event) => {
    if (!event.target.closest("canvas")) return;
    touches.set(event.pointerId, [event.clientX, event.clientY]);
    tiles.setPointerCapture(event.pointerId);
  });
  tiles.addEventListener("pointermove", (event) => {
    const from = touches.get(event.pointerId);
    if (!from) return;
    const to = [event.clientX, event.clientY];
    if (touches.size === 2) {
      const other = [...touches].find(([id]) => id !== event.pointerId)[1];
      const before = Math.hypot(from[0] - other[0], from[1] - other[1]);
      zoom(Math.hypot(to[0] - other[0], to[1] - other[1]) / Math.max(1, before));
    } else turn((to[0] - from[0]) / 90, (to[1] - from[1]) / 90);
    touches.set(event.pointerId, to);
  });
  for (const name of ["pointerup", "pointercancel"]) tiles.addEventListener(name, (event) => touches.delete(event.pointerId));
  tiles.addEventListener("wheel", (event) => {
    if (document.activeElement !== tiles) return; // otherwise the page could not be scrolled past
    event.preventDefault();
    zoom(Math.exp(-event.deltaY / 500));
  }, { passive: false });
  tiles.addEventListener("keydown", (event) => {
    const turns = { ArrowLeft: [-0.15, 0], ArrowRight: [0.15, 0], ArrowUp: [0, -0.15], ArrowDown: [0, 0.15] }[event.key];
    if (turns) turn(...turns);
    else if (event.key === "+" || event.key === "=") zoom(1.2);
    else if (event.key === "-" || event.key === "−") zoom(1 / 1.2);
    else if (event.key === "0" || event.key === "Home") { Object.assign(camera, HOME); refresh(one); }
    else return;
    event.preventDefault();
  });
  tiles.addEventListener("dblclick", () => { Object.assign(camera, HOME); refresh(one); });
}

function refresh(one) {
  dirty.add(one);
  redraw();
}

let scheduled = false;
function redraw() {
  if (scheduled || !dirty.size) return;
  scheduled = true;
  requestAnimationFrame(() => {
    scheduled = false;
    const waiting = [...dirty].filter((one) => one.visible);
    dirty.clear();
    for (const one of waiting) for (const tile of one.tiles) drawTile(one, tile);
  });
}

async function drawTile(one, tile) {
  const [truth, mesh] = await Promise.all([meshCorners(one.shape.truth), meshCorners(tile.mesh)]);
  if (!tile.canvas.isConnected) return;
  renderer ??= makeRenderer();
  const ratio = Math.min(devicePixelRatio || 1, 2), size = Math.max(64, Math.round(tile.canvas.clientWidth * ratio));
  const shade = gallery.shade === "distance" && tile.truth ? "shaded" : gallery.shade;
  const camera = { ...one.camera, zoom: one.camera.zoom * 1.48 / truth.radius }; // the truth fills the view
  const picture = renderer.draw(mesh, camera, shade, renderer.kind === "software" ? Math.min(size, 320) : 2 * size);
  if (tile.canvas.width !== size) tile.canvas.width = tile.canvas.height = size;
  const context = tile.canvas.getContext("2d");
  context.clearRect(0, 0, size, size);
  context.imageSmoothingQuality = "high"; // drawn at twice the size: smooth outlines on any driver
  context.drawImage(picture, 0, 0, size, size);
  tile.canvas.dataset.drawn = renderer.kind;
}
