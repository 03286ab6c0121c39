// One hidden WebGL canvas draws every picture, which is then copied to where it is seen: browsers
// allow few WebGL canvases. Without WebGL the same picture comes from a small depth-buffer rasteriser.

const SHADES = { shaded: 0, normals: 1, distance: 2 };
const FIELD = 1 / Math.tan(15 * Math.PI / 180), EYE = 6.2;
// Low to high distance: the colours of the legend as well.
const RAMP = [[0.23, 0.32, 0.55], [0.35, 0.60, 0.66], [0.86, 0.84, 0.62], [0.93, 0.55, 0.30], [0.72, 0.13, 0.18]];

const VERTEX = `
attribute vec3 position; attribute vec3 normal; attribute float code;
uniform mat3 turn; uniform vec2 lens;
varying vec3 n; varying float d;
void main() {
  vec3 p = turn * position;
  n = turn * normal; d = code;
  float w = ${EYE.toFixed(3)} - p.z;
  gl_Position = vec4(p.xy * lens.x, (w - ${(EYE - 2).toFixed(3)}) / 4.0 * 2.0 * w - w, w);
}`;
const FRAGMENT = `
precision mediump float;
varying vec3 n; varying float d;
uniform int shade; uniform vec3 ramp[5];
float light(vec3 m) {
  float key = max(0.0, dot(m, normalize(vec3(-0.45, 0.50, 0.75))));
  float fill = max(0.0, dot(m, normalize(vec3(0.80, 0.05, 0.45))));
  float sky = 0.5 + 0.5 * m.y;
  return 0.26 + 0.14 * sky + 0.62 * key + 0.12 * fill;
}
void main() {
  vec3 m = normalize(n);
  bool inside = !gl_FrontFacing;
  if (inside) m = -m;
  vec3 clay = inside ? vec3(0.80, 0.47, 0.36) : vec3(0.84, 0.85, 0.865);
  if (shade == 1) { gl_FragColor = vec4(m * 0.5 + 0.5, 1.0); return; }
  if (shade == 2) {
    float t = clamp(d, 0.0, 1.0) * 4.0;
    clay = mix(ramp[0], ramp[1], clamp(t, 0.0, 1.0));
    clay = mix(clay, ramp[2], clamp(t - 1.0, 0.0, 1.0));
    clay = mix(clay, ramp[3], clamp(t - 2.0, 0.0, 1.0));
    clay = mix(clay, ramp[4], clamp(t - 3.0, 0.0, 1.0)) * 1.12;
  }
  gl_FragColor = vec4(clay * (shade == 2 ? 0.5 + 0.5 * light(m) : light(m)), 1.0);
}`;

/** Rotation of the camera, column-major 3x3, y up. */
function turnOf(camera) {
  const ca = Math.cos(camera.azimuth), sa = Math.sin(camera.azimuth);
  const ce = Math.cos(camera.elevation), se = Math.sin(camera.elevation);
  return [ca, se * sa, -ce * sa, 0, ce, se, sa, -se * ca, ce * ca];
}

/** A renderer with draw(mesh, camera, shade, size) -> canvas that holds the picture until the next. */
function makeRenderer() {
  const canvas = document.createElement("canvas");
  const gl = state.viewer === "software" ? null : canvas.getContext("webgl", { antialias: true, alpha: true, premultipliedAlpha: false });
  return gl ? webglRenderer(canvas, gl) : softwareRenderer(document.createElement("canvas"));
}

function webglRenderer(canvas, gl) {
  const program = gl.createProgram();
  for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader));
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program));
  gl.useProgram(program);
  gl.enable(gl.DEPTH_TEST);
  const where = (name) => gl.getUniformLocation(program, name);
  const places = { turn: where("turn"), lens: where("lens"), shade: where("shade"), ramp: where("ramp") };
  gl.uniform3fv(places.ramp, RAMP.flat());
  const buffers = new Map();
  const bufferOf = (mesh) => {
    let buffer = buffers.get(mesh);
    if (!buffer) {
      buffer = gl.createBuffer();
      gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
      gl.bufferData(gl.ARRAY_BUFFER, mesh.data, gl.STATIC_DRAW);
    }
    buffers.delete(mesh);
    buffers.set(mesh, buffer);
    if (buffers.size > 120) {
      const [oldest, unused] = buffers.entries().next().value;
      gl.deleteBuffer(unused);
      buffers.delete(oldest);
    }
    return buffer;
  };
  const draw = (mesh, camera, shade, size) => {
    if (canvas.width !== size) canvas.width = canvas.height = size;
    gl.viewport(0, 0, size, size);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.bindBuffer(gl.ARRAY_BUFFER, bufferOf(mesh));
    [["position", 3, 0], ["normal", 3, 12], ["code", 1, 24]].forEach(([name, length, offset]) => {
      const place = gl.getAttribLocation(program, name);
      gl.enableVertexAttribArray(place);
      gl.vertexAttribPointer(place, length, gl.FLOAT, false, 4 * CORNER_FLOATS, offset);
    });
    gl.uniformMatrix3fv(places.turn, false, turnOf(camera));
    gl.uniform2f(places.lens, FIELD * camera.zoom, 0);
    gl.uniform1i(places.shade, SHADES[shade]);
    gl.drawArrays(gl.TRIANGLES, 0, mesh.count);
    return canvas;
  };
  return { kind: "webgl", draw };
}

function softwareRenderer(canvas) {
  const context = canvas.getContext("2d");
  const draw = (mesh, camera, shade, size) => {
    if (canvas.width !== size) canvas.width = canvas.height = size;
    const image = context.createImageData(size, size), depth = new Float32Array(size * size).fill(Infinity);
    const turn = turnOf(camera), lens = FIELD * camera.zoom, { data } = mesh;
    const corner = (i) => {
      const at = CORNER_FLOATS * i, turned = (k) => [0, 1, 2].map((row) =>
        turn[row] * data[at + k] + turn[3 + row] * data[at + k + 1] + turn[6 + row] * data[at + k + 2]);
      const [x, y, z] = turned(0), w = EYE - z;
      return { x: (0.5 + 0.5 * lens * x / w) * size, y: (0.5 - 0.5 * lens * y / w) * size, w, n: turned(3), d: data[at + 6] };
    };
    for (let i = 0; i < mesh.count; i += 3) fillTriangle(image, depth, size, corner(i), corner(i + 1), corner(i + 2), shade);
    context.putImageData(image, 0, 0);
    return canvas;
  };
  return { kind: "software", draw };
}

function fillTriangle(image, depth, size, a, b, c, shade) {
  const area = (b.x - a.x) * (c.y - a.y) - (b.y - a.y) * (c.x - a.x);
  if (Math.abs(area) < 1e-9) return;
  const inside = area > 0; // y runs down: a face seen from outside has negative area here
  const left = Math.max(0, Math.floor(Math.min(a.x, b.x, c.x))), right = Math.min(size - 1, Math.ceil(Math.max(a.x, b.x, c.x)));
  const top = Math.max(0, Math.floor(Math.min(a.y, b.y, c.y))), bottom = Math.min(size - 1, Math.ceil(Math.max(a.y, b.y, c.y)));
  for (let y = top; y <= bottom; y += 1) {
    for (let x = left; x <= right; x += 1) {
      const u = ((b.x - x - 0.5) * (c.y - y - 0.5) - (b.y - y - 0.5) * (c.x - x - 0.5)) / area;
      const v = ((c.x - x - 0.5) * (a.y - y - 0.5) - (c.y - y - 0.5) * (a.x - x - 0.5)) / area;
      const t = 1 - u - v;
      if (u < 0 || v < 0 || t < 0) continue;
      const w = u * a.w + v * b.w + t * c.w, place = y * size + x;
      if (w >= depth[place]) continue;
      depth[place] = w;
      const n = [0, 1, 2].map((k) => (u * a.n[k] + v * b.n[k] + t * c.n[k]) * (inside ? -1 : 1));
      const color = shadeOf(n, u * a.d + v * b.d + t * c.d, inside, shade);
      for (let k = 0; k < 3; k += 1) image.data[4 * place + k] = 255 * color[k];
      image.data[4 * place + 3] = 255;
    }
  }
}

/** The fragment shader's colour, in plain numbers. */
function shadeOf(normal, code, inside, shade) {
  const length = Math.hypot(...normal) || 1, m = normal.map((value) => value / length);
  if (shade === "normals") return m.map((value) => 0.5 + 0.5 * value);
  const toward = (x, y, z) => Math.max(0, (m[0] * x + m[1] * y + m[2] * z) / Math.hypot(x, y, z));
  const light = 0.26 + 0.14 * (0.5 + 0.5 * m[1]) + 0.62 * toward(-0.45, 0.5, 0.75) + 0.12 * toward(0.8, 0.05, 0.45);
  let clay = inside ? [0.8, 0.47, 0.36] : [0.84, 0.85, 0.865];
  if (shade === "distance") {
    const t = Math.min(3.999, Math.max(0, code) * 4), step = Math.floor(t);
    clay = RAMP[step].map((value, k) => 1.12 * (value + (RAMP[step + 1][k] - value) * (t - step)));
  }
  return clay.map((value) => value * (shade === "distance" ? 0.5 + 0.5 * light : light));
}
