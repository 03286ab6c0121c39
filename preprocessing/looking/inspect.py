"""What is in a mesh or sample file: counts, faults, salient edges, level; as text, PNG, HTML."""

from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np

from preprocessing.files import atomic_write
from preprocessing.half_edges import count_components, duplicate_faces, edge_faults
from preprocessing.looking.page import (
    html_page,
    mesh_pictures,
    sample_pictures,
    turning_mesh,
    turning_sample,
)
from preprocessing.looking.render import png_bytes, side_by_side
from preprocessing.mesh import Mesh, load_mesh, load_mesh_report, normalise
from preprocessing.mesh_extent import frame_ratio
from preprocessing.points.edges import level_of, salient_edges
from preprocessing.points.layouts import SAMPLE_READERS
from preprocessing.points.samples import ARRAYS, Sample
from preprocessing.stores.address import Place

SPECK = 100
"""Frame ratio over which the smallest part of a mesh is worth a word."""


@dataclass(frozen=True)
class MeshReport:
    """A mesh file. Lengths and bounds are in the file's own units unless they say normalised."""

    path: str
    bytes: int
    vertices: int
    faces: int
    components: int
    low: tuple[float, float, float]
    high: tuple[float, float, float]
    area: float
    volume: float | None
    """Signed volume; None unless the mesh is closed and evenly wound."""
    euler: int
    closed: bool
    open_edges: int
    nonmanifold_edges: int
    flipped_edges: int
    """Edges whose two faces disagree about which side is out."""
    duplicate_faces: int
    degenerate_faces: int
    merged_vertices: int
    unused_vertices: int
    outlying_faces: int
    """Faces without an area far out, which were dropped."""
    welded_vertices: int
    weld_gap: float
    """The farthest that a welded vertex moved, in the file's units."""
    frame_ratio: float
    """The longest side of the whole over that of its smallest part."""
    angle: float
    salient_edges: int
    salient_length: float
    """Total length of the salient edges in the normalised frame."""
    level: int


@dataclass(frozen=True)
class SampleReport:
    """A sample file: rows of each array, the signed distances they hold, the stored metadata."""

    path: str
    bytes: int
    rows: dict[str, int]
    sdf_range: dict[str, tuple[float, float]]
    inside: dict[str, float]
    """Share of points inside, for each array of supervision."""
    salient_points: int
    metadata: dict[str, str]


def inspect_file(
    path: str | Path,
    png: str | Place | None = None,
    html: str | Place | None = None,
    beside: str | Path | None = None,
    angle: float = 15.0,
) -> MeshReport | SampleReport:
    """Look into a mesh or a sample (.safetensors, .npz) and write the pictures asked for.

    `beside` is a second mesh for the pictures: the watertight result of a mesh, or the mesh of a
    sample. Raises MeshError (SampleError is one) when a file cannot be used.
    """
    path = Path(path)
    other = None if beside is None else load_mesh(beside)
    drawn = png is not None or html is not None
    report: MeshReport | SampleReport
    title = escape(path.name, quote=True)
    if path.suffix.lower() in SAMPLE_READERS:
        sample = SAMPLE_READERS[path.suffix.lower()](path)
        report = inspect_sample(path, sample)
        pictures = sample_pictures(sample, other) if drawn else []
        turning = turning_sample(sample, title) if html is not None else ""
    else:
        report, mesh = inspect_mesh(path, angle), load_mesh(path)
        pictures = mesh_pictures(mesh, other, angle) if drawn else []
        turning = turning_mesh(other or mesh, title) if html is not None else ""
    if png is not None:
        columns = 3 if len(pictures) % 3 == 0 else 2
        atomic_write(png, png_bytes(side_by_side(pictures, columns)))
    if html is not None:
        atomic_write(html, html_page(path.name, sections(report), pictures, turning))
    return report


def inspect_mesh(path: str | Path, angle: float = 15.0) -> MeshReport:
    """Count what is in a mesh file. `angle` in degrees decides which edges are salient."""
    path = Path(path)
    loaded = load_mesh_report(path)
    mesh = loaded.mesh
    faults = edge_faults(mesh.faces)
    salient = salient_edges(normalise(mesh)[0], angle)
    whole = faults.open_edges == faults.nonmanifold_edges == faults.flipped_edges == 0
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    area, volume = area_and_volume(mesh)
    return MeshReport(
        path=str(path),
        bytes=path.stat().st_size,
        vertices=len(mesh.vertices),
        faces=len(mesh.faces),
        components=count_components(mesh.faces, len(mesh.vertices)),
        low=(float(low[0]), float(low[1]), float(low[2])),
        high=(float(high[0]), float(high[1]), float(high[2])),
        area=area,
        volume=volume if whole else None,
        euler=len(mesh.vertices) - faults.edges + len(mesh.faces),
        closed=faults.open_edges == 0 and faults.nonmanifold_edges == 0,
        open_edges=faults.open_edges,
        nonmanifold_edges=faults.nonmanifold_edges,
        flipped_edges=faults.flipped_edges,
        duplicate_faces=duplicate_faces(mesh.faces),
        degenerate_faces=loaded.degenerate_faces,
        merged_vertices=loaded.merged_vertices,
        unused_vertices=loaded.unused_vertices,
        outlying_faces=loaded.outlying_faces,
        welded_vertices=loaded.welded_vertices,
        weld_gap=loaded.weld_gap,
        frame_ratio=frame_ratio(mesh.vertices, mesh.faces),
        angle=angle,
        salient_edges=len(salient),
        salient_length=salient.total_length,
        level=level_of(len(salient)),
    )


def area_and_volume(mesh: Mesh) -> tuple[float, float]:
    """Surface area, and the volume that the faces enclose by the divergence theorem."""
    corners = mesh.triangles - mesh.vertices.mean(axis=0)
    crosses = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = float(np.linalg.norm(crosses, axis=1).sum() / 2)
    return area, float((corners[:, 0] * crosses).sum() / 6)


def inspect_sample(path: str | Path, sample: Sample) -> SampleReport:
    """Count what is in the sample that a file holds."""
    path = Path(path)
    distances = {
        name: array[:, 3] for name in ARRAYS if (array := getattr(sample, name)).shape[1] == 4
    }
    distances = {name: sdf for name, sdf in distances.items() if len(sdf)}
    return SampleReport(
        path=str(path),
        bytes=path.stat().st_size,
        rows={name: len(getattr(sample, name)) for name in ARRAYS},
        sdf_range={name: (float(sdf.min()), float(sdf.max())) for name, sdf in distances.items()},
        inside={name: float((sdf >= 0).mean()) for name, sdf in distances.items()},
        salient_points=len(sample.sharp_surface),
        metadata=dict(sample.metadata),
    )


def format_report(report: MeshReport | SampleReport) -> str:
    """The report as text for a terminal."""
    lines = []
    for title, rows in sections(report):
        lines.append(title)
        width = max(len(name) for name, _ in rows)
        lines += [f"  {name:<{width}}  {value}" for name, value in rows]
    return "\n".join(lines)


Section = tuple[str, list[tuple[str, str]]]


def sections(report: MeshReport | SampleReport) -> list[Section]:
    """The report as titled rows of (name, value)."""
    if isinstance(report, MeshReport):
        return mesh_sections(report)
    rows = [(name, f"{count:,} rows") for name, count in report.rows.items()]
    fields = [
        (name, f"{low:+.4f} to {high:+.4f}, {report.inside[name]:.1%} inside")
        for name, (low, high) in report.sdf_range.items()
    ]
    file = [("bytes", f"{report.bytes:,}"), ("salient points", f"{report.salient_points:,}")]
    found = [(report.path, file), ("arrays", rows), ("signed distance (positive inside)", fields)]
    if report.metadata:
        found.append(("metadata", sorted(report.metadata.items())))
    return found


def mesh_sections(report: MeshReport) -> list[Section]:
    """A mesh report as titled rows; each fault says what it means."""
    size = [high - low for low, high in zip(report.low, report.high, strict=True)]
    volume = "not defined (open or unevenly wound)"
    if report.volume is not None:
        volume = f"{report.volume:.6g}" + (" (inside out)" if report.volume < 0 else "")
    content = [
        ("bytes", f"{report.bytes:,}"),
        ("vertices", f"{report.vertices:,}"),
        ("faces", f"{report.faces:,}"),
        ("components", f"{report.components:,}"),
        ("size", " x ".join(f"{side:.6g}" for side in size)),
        ("from", ", ".join(f"{value:.6g}" for value in report.low)),
        ("to", ", ".join(f"{value:.6g}" for value in report.high)),
        ("area", f"{report.area:.6g}"),
        ("volume", volume),
        ("Euler number", str(report.euler)),
    ]
    faults = [
        ("closed", "yes" if report.closed else "no"),
        ("open edges", f"{report.open_edges:,}"),
        ("non-manifold edges", f"{report.nonmanifold_edges:,}"),
        ("flipped edges", f"{report.flipped_edges:,}"),
        ("duplicate faces", f"{report.duplicate_faces:,}"),
        ("degenerate faces", f"{report.degenerate_faces:,} (dropped)"),
        ("repeated vertices", f"{report.merged_vertices:,} (joined)"),
        ("unused vertices", f"{report.unused_vertices:,} (dropped)"),
    ]
    if report.outlying_faces:
        faults.append(("faces without area far out", f"{report.outlying_faces:,} (dropped)"))
    if report.welded_vertices:
        moved = f"{report.welded_vertices:,} (moved by at most {report.weld_gap:.2g})"
        faults.append(("welded vertices", moved))
    if report.frame_ratio > SPECK:
        faults.append(("smallest part", f"1/{report.frame_ratio:,.0f} of the whole: a speck"))
    edges = [
        (f"over {report.angle:g} degrees", f"{report.salient_edges:,}"),
        ("their length", f"{report.salient_length:.4g} (longest side = 2)"),
        ("level", f"L{report.level}" if report.level else "none (no salient edge)"),
    ]
    return [(report.path, content), ("faults", faults), ("salient edges", edges)]
