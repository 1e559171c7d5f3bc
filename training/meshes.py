# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The shapes of the twelve kinds, normalised to unit size, z up, resting on z = 0.

Four come with pybullet_data (duck, mug, lego brick, teddy bear), the others are computed here. Every mesh
is written as a plain OBJ without material, so that the renderer sets its colour.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pybullet_data
from numpy.typing import NDArray

Vertices = NDArray[np.float64]
Faces = list[tuple[int, ...]]


@dataclass(frozen=True)
class Mesh:
    """A shape: vertices (N, 3) in units of its largest extent, and faces as vertex indices from 0."""

    vertices: Vertices
    faces: Faces

    def moved(self, x: float, y: float, z: float) -> Mesh:
        return Mesh(self.vertices + np.array([x, y, z]), self.faces)

    def normalised(self, like: Mesh | None = None) -> Mesh:
        """Largest extent 1, centred on x = y = 0, lowest point at z = 0; or moved as `like` would be."""
        reference = (like or self).vertices
        low, high = reference.min(axis=0), reference.max(axis=0)
        centre = np.array([(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2]])
        return Mesh((self.vertices - centre) / (high - low).max(), self.faces)

    def split(self, chosen: Callable[[Vertices], NDArray[np.bool_]]) -> tuple[Mesh, Mesh]:
        """The faces whose centre is not `chosen`, and those whose centre is."""
        centres = np.array([self.vertices[list(face)].mean(axis=0) for face in self.faces])
        second = chosen(centres)
        parts = (
            [f for f, s in zip(self.faces, second, strict=True) if s == side]
            for side in (False, True)
        )
        rest, part = parts
        return Mesh(self.vertices, rest), Mesh(self.vertices, part)

    def write(self, path: Path) -> None:
        """Write a plain OBJ file; flat faces keep their edges because no normals are shared."""
        lines = [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in self.vertices]
        lines += ["f " + " ".join(str(i + 1) for i in face) for face in self.faces]
        path.write_text("\n".join(lines) + "\n")


def read_obj(path: Path) -> Mesh:
    """The geometry of an OBJ file, without materials, normals and textures."""
    vertices: list[list[float]] = []
    faces: Faces = []
    for line in path.read_text().splitlines():
        parts = line.split()
        if parts[:1] == ["v"]:
            vertices.append([float(x) for x in parts[1:4]])
        elif parts[:1] == ["f"]:
            faces.append(tuple(int(corner.split("/")[0]) - 1 for corner in parts[1:]))
    return Mesh(np.array(vertices), faces)


def _y_up_to_z_up(mesh: Mesh) -> Mesh:
    x, y, z = mesh.vertices.T
    return Mesh(np.stack([x, -z, y], axis=1), mesh.faces)


def _ring_of_points(radius: float, z: float, count: int) -> Vertices:
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), np.full(count, z)], axis=1)


def _triangles(faces: Faces) -> Faces:
    return [(f[0], f[i], f[i + 1]) for f in faces for i in range(1, len(f) - 1)]


def prism(outline: NDArray[np.float64], height: float) -> Mesh:
    """An outline (N, 2), star-shaped about the origin, pulled up to a solid."""
    n = len(outline)
    low = np.column_stack([outline, np.zeros(n)])
    high = np.column_stack([outline, np.full(n, height)])
    vertices = np.concatenate([low, high, [[0, 0, 0], [0, 0, height]]])
    faces: Faces = []
    for i in range(n):
        j = (i + 1) % n
        faces += [(i, j, n + j), (i, n + j, n + i), (2 * n, j, i), (2 * n + 1, n + i, n + j)]
    return Mesh(vertices, faces)


def box(x: float, y: float, z: float) -> Mesh:
    corners = np.array([[-x, -y], [x, -y], [x, y], [-x, y]]) / 2
    return prism(corners, z)


def cylinder(diameter: float, height: float) -> Mesh:
    return prism(_ring_of_points(diameter / 2, 0, 40)[:, :2], height)


def star(points: int, inner: float, height: float) -> Mesh:
    angle = np.linspace(0, 2 * np.pi, 2 * points, endpoint=False)
    radius = np.where(np.arange(2 * points) % 2 == 0, 0.5, 0.5 * inner)
    return prism(np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1), height)


def cone(diameter: float, height: float) -> Mesh:
    n = 40
    vertices = np.concatenate([_ring_of_points(diameter / 2, 0, n), [[0, 0, 0], [0, 0, height]]])
    faces: Faces = []
    for i in range(n):
        j = (i + 1) % n
        faces += [(i, j, n + 1), (n, j, i)]
    return Mesh(vertices, faces)


def torus(tube: float, arcs: int = 1, arc_share: float = 1.0, swell: float = 1.0) -> Mesh:
    """A ring of outer radius 0.5 lying flat; `tube` is the radius of its round section.

    Or only `arcs` arcs that cover `arc_share` of it, with the section `swell` times as thick.
    """
    steps, section = 36 // arcs, 16
    vertices: list[Vertices] = []
    faces: Faces = []
    for arc in range(arcs):
        start = 2 * np.pi * arc / arcs
        u = start + np.linspace(0, 2 * np.pi * arc_share / arcs, steps + 1)
        for angle in u:
            v = np.linspace(0, 2 * np.pi, section, endpoint=False)
            radius = 0.5 - tube + swell * tube * np.cos(v)
            x, y = radius * np.cos(angle), radius * np.sin(angle)
            vertices += list(np.stack([x, y, swell * tube * np.sin(v)], axis=1))
        for i in range(steps):
            for j in range(section):
                a = (arc * (steps + 1) + i) * section
                b, k = a + section, (j + 1) % section
                faces.append((a + j, b + j, b + k, a + k))
    return Mesh(np.array(vertices), _triangles(faces))


def band(radius_low: float, radius_high: float, low: float, high: float) -> Mesh:
    """An open ring around the z axis, from height `low` to height `high`."""
    n = 40
    vertices = np.concatenate(
        [_ring_of_points(radius_low, low, n), _ring_of_points(radius_high, high, n)]
    )
    quads = [(i, (i + 1) % n, n + (i + 1) % n, n + i) for i in range(n)]
    return Mesh(vertices, _triangles(quads))


def joined(*meshes: Mesh) -> Mesh:
    faces: Faces = []
    start = 0
    for mesh in meshes:
        faces += [tuple(start + i for i in face) for face in mesh.faces]
        start += len(mesh.vertices)
    return Mesh(np.concatenate([mesh.vertices for mesh in meshes]), faces)


def dice_pips() -> Mesh:
    """Five dots on each side of a cube of side 1 that stands on z = 0."""
    disc = _ring_of_points(0.1, 0, 10)
    side: list[Vertices] = []
    for x, y in ((0, 0), (0.27, 0.27), (0.27, -0.27), (-0.27, 0.27), (-0.27, -0.27)):
        side.append(disc + np.array([x, y, 0.505]))
    vertices: list[Vertices] = []
    for axes in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        for sign in (1, -1):
            vertices += [(dots * np.array([1, 1, sign]))[:, axes] for dots in side]
    faces: Faces = [tuple(range(10 * i, 10 * i + 10)) for i in range(len(vertices))]
    both_ways = faces + [tuple(reversed(face)) for face in faces]
    return Mesh(np.concatenate(vertices) + np.array([0, 0, 0.5]), _triangles(both_ways))


def sphere() -> Mesh:
    rows, columns = 20, 36
    theta = np.repeat(np.linspace(0, np.pi, rows + 1), columns)
    phi = np.tile(np.linspace(0, 2 * np.pi, columns, endpoint=False), rows + 1)
    vertices = 0.5 * np.stack(
        [np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], axis=1
    )
    faces: Faces = []
    for i in range(rows):
        for j in range(columns):
            k = (j + 1) % columns
            upper, lower = i * columns, (i + 1) * columns
            faces.append((upper + j, lower + j, lower + k, upper + k))
    return Mesh(vertices, _triangles(faces))


def soccer_ball_patches() -> Mesh:
    """The twelve pentagons of a soccer ball, lying just above a sphere of diameter 1."""
    golden = (1 + 5**0.5) / 2
    centres = np.array(
        [
            permuted
            for a in (-1.0, 1.0)
            for b in (-golden, golden)
            for permuted in ((0, a, b), (a, b, 0), (b, 0, a))
        ]
    )
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    vertices: list[Vertices] = []
    faces: Faces = []
    for centre in centres:
        nearest = centres[np.argsort(-(centres @ centre))[1]]
        right = nearest - centre * (nearest @ centre)
        right /= np.linalg.norm(right)
        up = np.cross(centre, right)
        start = len(vertices)
        vertices.append(centre)
        for ring_angle in (0.18, 0.36):  # two rings keep the patch on the sphere
            for corner in range(5):
                angle = 2 * np.pi * corner / 5
                direction = np.cos(angle) * right + np.sin(angle) * up
                vertices.append(np.cos(ring_angle) * centre + np.sin(ring_angle) * direction)
        for i in range(5):
            j = (i + 1) % 5
            inner, outer = start + 1, start + 6
            faces += [(start, inner + i, inner + j)]
            faces += [(inner + i, outer + i, outer + j), (inner + i, outer + j, inner + j)]
    return Mesh(0.515 * np.array(vertices), faces)


@dataclass(frozen=True)
class Shape:
    """A kind's normalised meshes: the body, in the colour of its name, and details that stand out from it."""

    body: Mesh
    details: Mesh | None = None


def _shape(body: Mesh, details: Mesh | None = None) -> Shape:
    everything = body if details is None else joined(body, details)
    return Shape(
        body.normalised(like=everything),
        None if details is None else details.normalised(like=everything),
    )


def build_shapes() -> dict[str, Shape]:
    """Kind -> shape. Details are what toys have: pips, bands, a beak, paws; they make small ones telling."""
    data = Path(pybullet_data.getDataPath())
    duck = _y_up_to_z_up(read_obj(data / "duck.obj"))
    mug = read_obj(data / "objects" / "mug.obj")
    bear = read_obj(data / "teddy2_VHACD_CHs.obj")
    bear_centre = (bear.vertices.min(axis=0) + bear.vertices.max(axis=0)) / 2
    return {
        "duck": _shape(*duck.split(lambda c: (c[:, 0] < -0.6) & (c[:, 2] > 0.75))),  # beak
        "mug": _shape(
            *mug.split(lambda c: (np.hypot(c[:, 0], c[:, 1]) < 0.037) & (c[:, 2] > 0.004))
        ),
        "lego brick": _shape(_y_up_to_z_up(read_obj(data / "lego" / "lego.obj"))),
        "teddy bear": _shape(  # paws and ears
            *bear.split(lambda c: np.linalg.norm(c - bear_centre, axis=1) > 0.43)
        ),
        "block": _shape(
            box(1.0, 0.34, 0.22),
            joined(*(box(0.09, 0.355, 0.235).moved(x, 0, -0.0075) for x in (-0.3, 0.0, 0.3))),
        ),
        "cube": _shape(box(1, 1, 1), dice_pips()),
        "ball": _shape(sphere()),
        "soccer ball": _shape(sphere(), soccer_ball_patches()),
        "cylinder": _shape(
            cylinder(0.62, 1.0),
            joined(band(0.317, 0.317, 0.18, 0.34), band(0.317, 0.317, 0.66, 0.82)),
        ),
        "ring": _shape(torus(0.14), torus(0.14, arcs=4, arc_share=0.45, swell=1.04)),
        "cone": _shape(cone(0.8, 1.0), band(0.4 * 0.7 * 1.03, 0.4 * 0.42 * 1.03, 0.3, 0.58)),
        "star": _shape(star(5, 0.45, 0.25), cylinder(0.36, 0.28).moved(0, 0, -0.015)),
    }


def build_bodies() -> dict[str, Mesh]:
    """Return kind -> body without details, which gives the contact with the table and the centre."""
    return {kind: shape.body for kind, shape in build_shapes().items()}


def build_clutter(count: int) -> dict[str, Mesh]:
    """'clutter 0', 'clutter 1', …: the first of pybullet_data's thousand random shapes."""
    folder = Path(pybullet_data.getDataPath()) / "random_urdfs"
    return {
        f"clutter {i}": read_obj(folder / f"{i:03d}" / f"{i:03d}.obj").normalised()
        for i in range(count)
    }
