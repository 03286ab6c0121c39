// Meshes, loaded when they are looked at: inflate, undo the delta coding, and prepare corners with crisp edges.

const CREASE = Math.cos(30 * Math.PI / 180);
const CORNER_FLOATS = 7; // position, normal, distance code
const corners = new Map(); // mesh name -> promise of {data, count}, the newest last

/** Corner data of a mesh, read once and kept while it is among the last 160 used. */
function meshCorners([part, place]) {
  const index = `${part}/${place}`, known = corners.get(index);
  corners.delete(index);
  corners.set(index, known ?? loadPart(part).then((packed) => unpackMesh(packed[place])));
  if (corners.size > 160) corners.delete(corners.keys().next().value);
  return corners.get(index);
}

async function unpackMesh(packed) {
  const bytes = Uint8Array.from(atob(packed.data), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const raw = new Uint8Array(await new Response(stream).arrayBuffer());
  const { vertices: count, faces: faceCount } = packed;
  const positions = new Float32Array(3 * count), faces = new Uint32Array(3 * faceCount);
  let at = 0;
  for (let axis = 0; axis < 3; axis += 1, at += 2 * count) {
    let value = 0;
    for (let i = 0; i < count; i += 1) {
      value = (value + raw[at + i] + 256 * raw[at + count + i]) & 65535;
      positions[3 * i + axis] = packed.low[axis] + packed.step * value;
    }
  }
  const word = (i) => raw[at + i] | raw[at + faceCount + i] << 8 | raw[at + 2 * faceCount + i] << 16 | raw[at + 3 * faceCount + i] << 24;
  for (let row = 0; row < 3; row += 1, at += 4 * faceCount) {
    let anchor = 0;
    for (let i = 0; i < faceCount; i += 1) {
      if (row === 0) { anchor += word(i); faces[3 * i] = anchor; } else faces[3 * i + row] = faces[3 * i] + word(i);
    }
  }
  const distances = packed.distances ? raw.subarray(at, at + count) : null;
  let radius = 0;
  for (let i = 0; i < positions.length; i += 3) radius = Math.max(radius, Math.hypot(positions[i], positions[i + 1], positions[i + 2]));
  return { data: cornerData(positions, faces, distances), count: 3 * faceCount, radius };
}

/** Seven floats per corner; normals average the faces around it that turn less than 30 degrees. */
function cornerData(positions, faces, distances) {
  const faceCount = faces.length / 3, vertexCount = positions.length / 3;
  const area = new Float32Array(3 * faceCount), unit = new Float32Array(3 * faceCount);
  for (let f = 0; f < faceCount; f += 1) {
    const [a, b, c] = [3 * faces[3 * f], 3 * faces[3 * f + 1], 3 * faces[3 * f + 2]];
    const ux = positions[b] - positions[a], uy = positions[b + 1] - positions[a + 1], uz = positions[b + 2] - positions[a + 2];
    const vx = positions[c] - positions[a], vy = positions[c + 1] - positions[a + 1], vz = positions[c + 2] - positions[a + 2];
    const n = [uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx];
    const length = Math.hypot(...n) || 1;
    for (let k = 0; k < 3; k += 1) { area[3 * f + k] = n[k]; unit[3 * f + k] = n[k] / length; }
  }
  const start = new Uint32Array(vertexCount + 1), around = new Uint32Array(faces.length);
  for (const v of faces) start[v + 1] += 1;
  for (let v = 0; v < vertexCount; v += 1) start[v + 1] += start[v];
  const next = start.slice();
  faces.forEach((v, i) => { around[next[v]++] = Math.floor(i / 3); });
  const data = new Float32Array(CORNER_FLOATS * faces.length);
  faces.forEach((v, i) => {
    const f = 3 * Math.floor(i / 3);
    let x = 0, y = 0, z = 0;
    for (let k = start[v]; k < start[v + 1]; k += 1) {
      const g = 3 * around[k];
      if (unit[f] * unit[g] + unit[f + 1] * unit[g + 1] + unit[f + 2] * unit[g + 2] > CREASE) {
        x += area[g]; y += area[g + 1]; z += area[g + 2];
      }
    }
    const length = Math.hypot(x, y, z) || 1;
    data.set([positions[3 * v], positions[3 * v + 1], positions[3 * v + 2], x / length, y / length, z / length,
      distances ? distances[v] / 255 : 0], CORNER_FLOATS * i);
  });
  return data;
}
