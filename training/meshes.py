"""The shapes of the twelve kinds, brought to one form: unit size, z up, resting on z = 0.

Four come with pybullet_data (duck, mug, lego brick, teddy bear), the others are made here. Every mesh is
written as a plain OBJ without material, so that its colour is ours to choose.
"""

from __future__ import annotations

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

    def normalised(self) -> Mesh:
        """Largest extent 1, centred on x = y = 0, lowest point at z = 0."""
        low, high = self.vertices.min(axis=0), self.vertices.max(axis=0)
        centre = np.array([(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2]])
        return Mesh((self.vertices - centre) / (high - low).max(), self.faces)

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


def torus(tube: float) -> Mesh:
    """A ring of outer radius 0.5 lying flat; `tube` is the radius of its round section."""
    around, section = 36, 16
    u = np.repeat(np.linspace(0, 2 * np.pi, around, endpoint=False), section)
    v = np.tile(np.linspace(0, 2 * np.pi, section, endpoint=False), around)
    radius = 0.5 - tube + tube * np.cos(v)
    vertices = np.stack([radius * np.cos(u), radius * np.sin(u), tube * np.sin(v)], axis=1)
    faces: Faces = []
    for i in range(around):
        for j in range(section):
            a, b = i * section + j, ((i + 1) % around) * section + j
            c = ((i + 1) % around) * section + (j + 1) % section
            d = i * section + (j + 1) % section
            faces.append((a, b, c, d))
    return Mesh(vertices, _triangles(faces))


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


def build_meshes() -> dict[str, Mesh]:
    """Kind -> normalised mesh. 'soccer ball patches' is the second colour of a soccer ball."""
    data = Path(pybullet_data.getDataPath())
    raw = {
        "duck": _y_up_to_z_up(read_obj(data / "duck.obj")),
        "mug": read_obj(data / "objects" / "mug.obj"),
        "lego brick": _y_up_to_z_up(read_obj(data / "lego" / "lego.obj")),
        "teddy bear": read_obj(data / "teddy2_VHACD_CHs.obj"),
        "block": box(1.0, 0.34, 0.22),
        "cube": box(1, 1, 1),
        "ball": sphere(),
        "soccer ball": sphere(),
        "cylinder": cylinder(0.62, 1.0),
        "ring": torus(0.14),
        "cone": cone(0.8, 1.0),
        "star": star(5, 0.45, 0.25),
    }
    meshes = {kind: mesh.normalised() for kind, mesh in raw.items()}
    patches = soccer_ball_patches()
    lifted = patches.vertices + np.array([0, 0, 0.5])
    return meshes | {"soccer ball patches": Mesh(lifted, patches.faces)}


def build_clutter(count: int) -> dict[str, Mesh]:
    """'clutter 0', 'clutter 1', …: the first of pybullet_data's thousand random shapes."""
    folder = Path(pybullet_data.getDataPath()) / "random_urdfs"
    return {
        f"clutter {i}": read_obj(folder / f"{i:03d}" / f"{i:03d}.obj").normalised()
        for i in range(count)
    }
