"""A mesh being remeshed: its arrays, and the passes over what is bad or has changed."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from preprocessing.frame import HALF_WIDTH
from preprocessing.half_edge_kernels import match_half_edges
from preprocessing.half_edges import widened
from preprocessing.mesh import Mesh
from preprocessing.solid.crossings import crossing_faces
from preprocessing.solid.remesh import (
    deviation_kernels,
    meeting_kernels,
    mend_kernels,
    rescue_kernels,
    thinning_kernels,
    tidy_kernels,
)
from preprocessing.solid.remesh import halfedge_edit_kernels as kernels
from preprocessing.solid.remesh.near_kernels import gradients

ROUNDS, BENDS = 3, 2  # rounds of bending and tidying; times that edges are asked in a round
FEW = 1 / 200  # share of the vertices below which new ones are not worth another round
ROOM = 1 / 8  # free rows, as a share of those in use, that arrays get when they are full
PASSES = 6  # times that what changed is tried again
THINNINGS = 2  # times that vertices are merged; those of finer cells as often once tidied
RESCUES = 4  # times that the slivers left are tried in other ways
MENDS, MENDED = 3, 2  # times that faces left off by more than so many tolerances are mended
LAST = 2  # times that what the rescue changed is bent again
LOOSE = (1, 3, 6)  # times the tolerance that a rescue may leave in the end, one after the other
# Cells from the offset at which another sheet is looked for, and the share free if none is near.
AIR, FREE = 0.4, 0.5
SMALLEST = np.cos(np.radians(20.0))  # faces with a smaller angle are bettered


def empty_buckets(near: tuple) -> np.ndarray:
    """The buckets (n,n,n) of meeting_kernels, with nothing in them."""
    n = max(1, int(2 * HALF_WIDTH / (meeting_kernels.BUCKET * near[5])))
    n = min(meeting_kernels.MOST_BUCKETS, n)
    return np.full((n, n, n), -1, np.int32)


@dataclass
class Working:
    """A closed manifold mesh being changed.

    A face that is gone or a free row has -1 for its first corner, and vertices may be in no face;
    `used` are the rows of faces and of vertices that ever were taken. `origin`: an old vertex near
    each; `owner`: a number for each face, which faces that replace it inherit; `redone` by that
    number: whose faces were put back last, all at first.
    `tight`, `heads`, `chain`, `extent`, `reach`: as of meeting_kernels. `finer`: vertices of finer
    cells (crevices/), as they were at the start.
    Vertices in `frozen` stay, and so do faces all of whose corners and the vertices next to them
    are frozen. `again` are the faces to be tried, `fresh` those whose rescue has not been tried,
    `dirty` the vertices whose edges are new. `checked`: vertices and faces at the start, or those
    of the last restart before it put any back.
    """

    vertices: np.ndarray
    gradient: np.ndarray
    faces: np.ndarray
    mates: np.ndarray
    leaving: np.ndarray
    tight: np.ndarray
    heads: np.ndarray
    chain: np.ndarray
    extent: np.ndarray
    reach: float
    origin: np.ndarray
    owner: np.ndarray
    redone: np.ndarray
    frozen: np.ndarray
    finer: np.ndarray
    again: np.ndarray
    fresh: np.ndarray
    dirty: np.ndarray
    used: tuple[int, int]
    checked: tuple[np.ndarray, np.ndarray]

    @classmethod
    def of(
        cls,
        start: Mesh,
        gradient: np.ndarray,
        owner: np.ndarray,
        asked: np.ndarray,
        frozen: np.ndarray,
        finer: np.ndarray,
        near: tuple,
    ) -> "Working":
        """Take up a mesh; asked, frozen, finer: bool (V,), vertices to look at, vertices that stay
        and vertices of finer cells."""
        count, faces = len(start.vertices), start.faces.astype(np.int32)
        ahead = AIR * near[5]
        tight = gradients(near, start.vertices + ahead * gradient)[0] < near[4] + FREE * ahead
        again = np.asarray(asked[faces].any(axis=1))
        return cls(
            start.vertices.copy(),
            gradient.copy(),
            faces,
            match_half_edges(faces, count).mates.astype(np.int32),
            kernels.leaving_halves(faces, count),
            tight.astype(np.uint8) + widened(faces, tight),
            empty_buckets(near) if tight.any() else np.full((1, 1, 1), -1, np.int32),
            np.full(count, -1, np.int32),
            meeting_kernels.extents(start.vertices, faces),
            meeting_kernels.REACH * near[5],
            np.arange(count, dtype=np.int32),
            owner,
            np.ones(int(owner.max(initial=0)) + 1, bool),
            frozen.copy(),
            finer.copy(),
            again,
            again.copy(),
            asked.copy(),
            (len(faces), count),
            (start.vertices, faces.copy()),
        )

    @property
    def flags(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What the kernels flag when they change something (halfedge_edit_kernels.mark)."""
        return self.again, self.fresh, self.dirty

    @property
    def mesh(self) -> tuple[Any, ...]:
        """The arrays that the kernels change."""
        halves = self.faces, self.mates, self.leaving
        tight = self.tight, self.heads, self.chain, self.extent, self.reach
        return self.vertices, self.gradient, *halves, *tight

    def restart(
        self,
        start: Mesh,
        gradient: np.ndarray,
        crossing: np.ndarray,
        asked: np.ndarray,
        frozen: np.ndarray,
    ) -> None:
        """Put the faces of the owners of those that meet, crossing (K,), back as they were.

        asked, frozen: as of `of`. All vertices between faces of two owners have stayed.
        """
        self.checked = self.vertices.copy(), self.faces.copy()
        self.checked[1][crossing] = -1  # the same two may come to be again
        owners = np.zeros(len(self.redone), bool)
        owners[self.owner[crossing]] = True
        count, old = len(start.vertices), len(start.faces)
        self.frozen[:count], self.redone = frozen, owners
        back = owners[self.owner]
        rows = np.flatnonzero(back[:old])
        self.faces[back, 0] = -1
        self.faces[rows] = start.faces[rows]
        used = np.zeros(len(self.vertices), bool)
        used[start.faces[rows]] = True
        mine = used[:count]
        self.vertices[used], self.gradient[used] = start.vertices[mine], gradient[mine]
        self._match()
        self.extent = meeting_kernels.extents(self.vertices, self.faces)
        self.again[rows] = self.fresh[rows] = asked[start.faces[rows]].any(axis=1)
        self.dirty[used] = asked[mine]

    def warn(self, near: tuple, some: np.ndarray) -> None:
        """Ask whatever is changed at the vertices of the start in some (V,) whether faces meet."""
        self.tight[: len(some)][some] = meeting_kernels.MET
        if len(self.heads) == 1:  # the first tight ones
            self.heads = empty_buckets(near)

    def _match(self) -> None:
        """Find the half-edges anew."""
        rows = np.flatnonzero(self.faces[:, 0] >= 0)
        faces = self.faces[rows]
        mates = match_half_edges(faces, len(self.vertices)).mates.reshape(-1, 3)
        self.mates.reshape(-1, 3)[rows] = 3 * rows[mates // 3] + mates % 3
        halves = kernels.leaving_halves(faces, len(self.vertices))
        self.leaving = np.where(halves < 0, -1, 3 * rows[halves // 3] + halves % 3).astype(np.int32)

    def improve(self, near: tuple, limits: tuple[float, float]) -> None:
        """Thin and tidy, bend and tidy by turns, rescue what is left a sliver, mend what is off.

        near: as of TriangleBricks; limits: judge_edges.
        """
        for _ in range(THINNINGS):
            self.thin(near, limits[0], ~self.finer | self.dirty)
        self.tidy(near, limits)
        for _ in range(THINNINGS if self.finer.any() else 0):
            self.thin(near, limits[0], self.finer & self.dirty)
        for _ in range(ROUNDS):
            bent = sum(self.bend(near, limits) for _ in range(BENDS))
            self.tidy(near, limits)
            if bent < FEW * self.used[1]:
                break
        for _ in range(LAST):
            self.rescue(near, limits[0])
            if not sum(self.bend(near, limits) for _ in range(BENDS)):
                break
            self.tidy(near, limits)
        for loose in LOOSE:
            self.fresh[:] = self.redone[self.owner]
            self.rescue(near, loose * limits[0])
        asked = self.redone[self.owner]
        for _ in range(MENDS):
            self.again[:] = False
            if not self.mend(near, MENDED * limits[0], asked):
                break
            mended = self.fresh.copy()
            for loose in LOOSE:
                self.fresh |= mended
                self.rescue(near, loose * limits[0])
            asked = self.again.copy()

    def thin(self, near: tuple, tolerance: float, asked: np.ndarray) -> None:
        """Merge those vertices in asked (V,) that flat parts and finer cells have too many of."""
        meeting_kernels.put_all(self.mesh)
        thinning_kernels.thin(near, self.mesh, asked & ~self.frozen, self.finer, tolerance)

    def rescue(self, near: tuple, tolerance: float) -> None:
        """Better the slivers left, by whatever does."""
        for _ in range(RESCUES):
            poor = rescue_kernels.poor_faces(self.vertices, self.faces, self.frozen, self.fresh)
            listed = np.flatnonzero(poor)
            if not len(listed):
                break
            meeting_kernels.put_all(self.mesh)
            if not rescue_kernels.rescue(
                near, self.mesh, self.frozen, listed, tolerance, self.flags
            ):
                break

    def crossing(self) -> np.ndarray:
        """The faces (K,) that meet another.

        Of the start none do, nor did others before the last restart than those that it put back:
        of two one has changed since, or is one of these.
        """
        rows = np.flatnonzero(self.faces[:, 0] >= 0)
        new = kernels.changed_faces(*self.checked, self.vertices, self.faces)
        mesh = Mesh(self.vertices, self.faces[rows])
        found: np.ndarray = rows[crossing_faces(mesh, new[rows], closed=True)]
        return found

    def finished(self) -> tuple[Mesh, np.ndarray, np.ndarray]:
        """The mesh without what is gone, its gradients, and an old vertex near each."""
        faces, old = kernels.compact(self.faces, len(self.faces), len(self.vertices))
        return Mesh(self.vertices[old], faces), self.gradient[old], self.origin[old]

    def tidy(self, near: tuple, limits: tuple[float, float]) -> int:
        """Better the slivers; how many changes that took."""
        total = 0
        for _ in range(PASSES):
            bad = tidy_kernels.bad_faces(
                self.vertices, self.faces, self.frozen, SMALLEST, self.again
            )
            listed = np.flatnonzero(bad)
            done = self._tidy(near, limits, listed) if len(listed) else 0
            total += done
            if not done:
                break
        return total

    def _tidy(self, near: tuple, limits: tuple[float, float], listed: np.ndarray) -> int:
        """Try the listed faces, colour by colour; how many changes that took."""
        keys, blocks = tidy_kernels.block_keys(self.vertices, self.faces, listed, near[5])
        order = np.argsort(keys, kind="stable")
        keys, listed = keys[order], listed[order]
        first = np.concatenate([[0], np.flatnonzero(np.diff(keys)) + 1, [len(keys)]])
        colour = keys[first[:-1]] // blocks
        self._make_room(0, int(np.bincount(colour).max()))  # scratch, a vertex a block
        meeting_kernels.put_all(self.mesh)
        done = 0
        for one in range(tidy_kernels.COLOURS):
            mine = np.flatnonzero(colour == one)
            if len(mine):
                ends = first[mine[0] : mine[-1] + 2]
                done += tidy_kernels.tidy_blocks(
                    near, self.mesh, self.frozen, limits, SMALLEST, self.flags, listed, ends,
                    self.used[1],
                )  # fmt: skip
        return done

    def bend(self, near: tuple, limits: tuple[float, float]) -> int:
        """Give a vertex to the chords that are off, the worst first; how many were."""
        deviation = deviation_kernels.judge_edges(near, self.mesh, self.frozen, self.dirty, limits)
        self.dirty[:] = False
        chosen = np.flatnonzero(deviation)
        chosen = chosen[np.argsort(-np.abs(deviation[chosen]), kind="stable")]
        points, normals, found = deviation_kernels.new_points(
            near, self.mesh, chosen, deviation[chosen]
        )
        corner = self.faces.reshape(-1)
        ends = np.stack([corner[chosen], corner[self.mates[chosen]]], axis=1)
        bends = ends, deviation[chosen], points, normals, found
        rows = self._take_rows(chosen // 3)
        done: int = tidy_kernels.bend(
            near, self.mesh, self.origin, self.frozen, bends, rows, self.flags
        )
        return done

    def mend(self, near: tuple, most: float, asked: np.ndarray) -> int:
        """Give a vertex to the asked faces (F,) that are off by more than `most` eps, or lead their
        edges; how many."""
        off = mend_kernels.off_faces(near, self.mesh, self.frozen, asked, most)
        listed = np.flatnonzero(off)
        listed = listed[np.argsort(-off[listed], kind="stable")]
        rows = self._take_rows(listed)
        done: int = mend_kernels.mend(
            near, self.mesh, self.origin, self.frozen, listed, rows, most, self.flags
        )
        return done

    def _take_rows(self, beside: np.ndarray) -> tuple[int, int]:
        """Take rows of two faces and a vertex for each of some faces (K,): the first of either.

        All tight vertices are in their buckets then.
        """
        more = len(beside)
        self._make_room(2 * more, more)
        rows, self.used = self.used, (self.used[0] + 2 * more, self.used[1] + more)
        meeting_kernels.put_all(self.mesh)
        self.owner[rows[0] : self.used[0]] = np.repeat(self.owner[beside], 2)
        return rows

    def _make_room(self, faces: int, vertices: int) -> None:
        """See to it that so many rows of faces and of vertices are free."""

        def longer(array: np.ndarray, rows: int, value: float = 0) -> np.ndarray:
            return np.concatenate([array, np.full((rows, *array.shape[1:]), value, array.dtype)])

        if (lack := self.used[0] + faces - len(self.faces)) > 0:
            rows = lack + int(ROOM * self.used[0])
            self.faces, self.mates = longer(self.faces, rows, -1), longer(self.mates, 3 * rows, -1)
            self.owner, self.again = longer(self.owner, rows), longer(self.again, rows)
            self.fresh = longer(self.fresh, rows)
        if (lack := self.used[1] + vertices - len(self.vertices)) > 0:
            rows = lack + int(ROOM * self.used[1])
            self.vertices, self.gradient = longer(self.vertices, rows), longer(self.gradient, rows)
            self.origin, self.frozen = longer(self.origin, rows), longer(self.frozen, rows)
            self.leaving, self.dirty = longer(self.leaving, rows, -1), longer(self.dirty, rows)
            self.tight, self.chain = longer(self.tight, rows), longer(self.chain, rows, -1)
            self.extent, self.finer = longer(self.extent, rows), longer(self.finer, rows)
