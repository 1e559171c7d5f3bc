# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The shapes of the test scenes, of one surface family: superquadrics, turned profiles and puffed outlines.

None of them is in the training data. Vertices are dense, so that colours by vertex draw patterns.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Rng = np.random.Generator
Points = NDArray[np.float64]


@dataclass(frozen=True)
class Surface:
    """Vertices (N, 3) and triangles (F, 3) as indices of vertices."""

    vertices: Points
    triangles: NDArray[np.int64]

    def at(self, x: float, y: float, z: float) -> Surface:
        return Surface(self.vertices + np.array([x, y, z]), self.triangles)

    def pitched(self, degrees: float) -> Surface:
        """Turn about the y axis: positive angles lower the front (+x)."""
        c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        turn = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
        return Surface(self.vertices @ turn.T, self.triangles)

    def rolled(self, degrees: float) -> Surface:
        """Turn about the x axis."""
        c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        turn = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
        return Surface(self.vertices @ turn.T, self.triangles)

    def unit(self) -> Surface:
        """Scale the largest extent to 1, centre x and y, and set the lowest point to z = 0."""
        low, high = self.vertices.min(axis=0), self.vertices.max(axis=0)
        origin = np.array([(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2]])
        return Surface((self.vertices - origin) / (high - low).max(), self.triangles)


def together(*surfaces: Surface) -> Surface:
    starts = np.cumsum([0, *(len(s.vertices) for s in surfaces[:-1])])
    triangles = [s.triangles + start for s, start in zip(surfaces, starts, strict=True)]
    return Surface(np.concatenate([s.vertices for s in surfaces]), np.concatenate(triangles))


def _grid(points: Points) -> Surface:
    """Join a grid (R, C, 3) whose columns close to a loop."""
    rows, columns = points.shape[:2]
    r, c = np.mgrid[0 : rows - 1, 0:columns]
    a, b = r * columns + c, r * columns + (c + 1) % columns
    quads = np.stack([a, b, b + columns, a, b + columns, a + columns], axis=-1)
    return Surface(points.reshape(-1, 3), quads.reshape(-1, 3))


def _power(values: Points, exponent: float) -> Points:
    return np.sign(values) * np.abs(values) ** exponent


def superquadric(
    x: float, y: float, z: float, upright: float = 1.0, around: float = 1.0
) -> Surface:
    """Return a superquadric of these diameters; exponents of 1 give an ellipsoid, small ones a box."""
    v = np.linspace(-np.pi / 2, np.pi / 2, 41)[:, None]
    u = np.linspace(-np.pi, np.pi, 64, endpoint=False)[None]
    ring = _power(np.cos(v), upright)
    ring[[0, -1]] = 0  # the poles, where the cosine is not quite 0
    points = np.stack(
        [
            x / 2 * ring * _power(np.cos(u), around),
            y / 2 * ring * _power(np.sin(u), around),
            z / 2 * _power(np.sin(v), upright) * np.ones_like(u),
        ],
        axis=-1,
    )
    return _grid(points)


def turned(profile: list[tuple[float, float]], steps: int = 6) -> Surface:
    """Return the surface of revolution of (radius, height) corners, with `steps` rows between two of them."""
    corners = np.array(profile, np.float64)
    t = np.linspace(0, len(corners) - 1, steps * (len(corners) - 1) + 1)
    radius = np.interp(t, np.arange(len(corners)), corners[:, 0])[:, None]
    height = np.interp(t, np.arange(len(corners)), corners[:, 1])[:, None]
    u = np.linspace(0, 2 * np.pi, 56, endpoint=False)[None]
    return _grid(np.stack([radius * np.cos(u), radius * np.sin(u), height + 0 * u], axis=-1))


def bow(reach: float, half: float, thickness: float, square: float) -> Surface:
    """Return a handle in the x-z plane: a half superellipse of a round rod; `square` below 1 makes it boxy."""
    t = np.linspace(-np.pi / 2, np.pi / 2, 40)
    x, z = reach * _power(np.cos(t), square), half * _power(np.sin(t), square)
    along = np.gradient(np.stack([x, z], axis=1), axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    u = np.linspace(0, 2 * np.pi, 14, endpoint=False)[None]
    across = thickness * np.cos(u)
    points = np.stack(
        [
            x[:, None] + across * along[:, 1:],
            thickness * np.sin(u) + 0 * x[:, None],
            z[:, None] - across * along[:, :1],
        ],
        axis=-1,
    )
    return _grid(points)


def duck(rng: Rng) -> Surface:
    body = superquadric(1.0, rng.uniform(0.62, 0.74), rng.uniform(0.5, 0.6), 0.9, 0.9)
    lift = np.clip(-body.vertices[:, 0] - 0.15, 0, None) ** 2 * rng.uniform(1.4, 2.4)
    body = Surface(body.vertices + np.stack([0 * lift, 0 * lift, lift], axis=1), body.triangles)
    head, z = rng.uniform(0.42, 0.52), rng.uniform(0.4, 0.5)
    neck = superquadric(0.3, 0.3, 0.45).at(0.25, 0, 0.24)
    skull = superquadric(head, head * 0.92, head * 0.95).at(0.3, 0, z)
    bill = superquadric(0.34, 0.26, rng.uniform(0.08, 0.13), 1.0, 0.7).pitched(8)
    return together(body, neck, skull, bill.at(0.3 + head * 0.55, 0, z - 0.05)).unit()


def mug(rng: Rng) -> Surface:
    top, foot = rng.uniform(0.36, 0.5), rng.uniform(0.3, 0.44)
    height, wall = rng.uniform(0.85, 1.05), 0.05
    cup = turned(
        [
            (0, 0),
            (foot, 0),
            (foot * 1.04, 0.06),
            (top, height),
            (top - wall, height),
            (foot - wall, 0.1),
            (0, 0.1),
        ]
    )
    handle = bow(rng.uniform(0.24, 0.34), rng.uniform(0.24, 0.32), 0.055, rng.uniform(0.5, 0.95))
    return together(cup, handle.at((top + foot) / 2 - 0.02, 0, height * 0.52)).unit()


def lego_brick(rng: Rng) -> Surface:
    columns, rows = ((4, 2), (3, 2), (2, 2), (4, 2))[int(rng.integers(4))]
    height = rng.uniform(0.95, 1.25)
    stud = turned([(0.31, 0), (0.31, 0.2), (0.28, 0.23), (0, 0.23)], 2)
    studs = [
        stud.at(i - (columns - 1) / 2, j - (rows - 1) / 2, height)
        for i in range(columns)
        for j in range(rows)
    ]
    brick = superquadric(columns, rows, height, 0.08, 0.08).at(0, 0, height / 2)
    return together(brick, *studs).unit()


def teddy_bear(rng: Rng) -> Surface:
    belly, head = rng.uniform(0.5, 0.6), rng.uniform(0.44, 0.54)
    z = rng.uniform(0.52, 0.6)
    parts = [
        superquadric(belly * 0.85, belly, 0.68),
        superquadric(head * 0.92, head, head * 0.9).at(0.02, 0, z),
        superquadric(0.22, 0.2, 0.16).at(head * 0.46, 0, z - 0.07),
    ]
    sitting, ear = rng.random() < 0.5, rng.uniform(0.17, 0.24)
    for side in (-1, 1):
        parts.append(superquadric(0.12, ear, ear).at(0, side * head * 0.42, z + head * 0.36))
        arm = superquadric(0.18, 0.18, 0.44).rolled(side * rng.uniform(15, 60))
        parts.append(arm.at(0.08, side * (belly / 2 + 0.08), 0.12))
        if sitting:
            parts.append(superquadric(0.5, 0.23, 0.23).at(0.24, side * 0.22, -0.22))
        else:
            parts.append(superquadric(0.24, 0.24, 0.46).at(0, side * 0.17, -0.42))
    return together(*parts).unit()


def block(rng: Rng) -> Surface:
    return superquadric(1, rng.uniform(0.3, 0.46), rng.uniform(0.18, 0.34), 0.06, 0.06).unit()


def cube(rng: Rng) -> Surface:
    roundness = rng.uniform(0.04, 0.16)
    return superquadric(1, 1, 1, roundness, roundness).unit()


def ball(rng: Rng) -> Surface:
    return superquadric(1, 1, rng.uniform(0.97, 1.0)).unit()


def cylinder(rng: Rng) -> Surface:
    r = rng.uniform(0.26, 0.4)
    return turned([(0, 0), (r - 0.02, 0), (r, 0.02), (r, 0.98), (r - 0.02, 1), (0, 1)]).unit()


def ring(rng: Rng) -> Surface:
    tube, squash = rng.uniform(0.1, 0.17), rng.uniform(0.85, 1.15)
    t = np.linspace(0, 2 * np.pi, 21)
    exponent = rng.uniform(0.6, 1.0)
    section = zip(
        0.5 - tube + tube * _power(np.cos(t), exponent),
        tube * squash * _power(np.sin(t), exponent),
        strict=True,
    )
    return turned([(float(r), float(z)) for r, z in section], 1).unit()


def cone(rng: Rng) -> Surface:
    r, tip = rng.uniform(0.34, 0.5), rng.uniform(0.01, 0.05)
    return turned([(0, 0), (r, 0), (tip, 1 - tip), (tip * 0.5, 1), (0, 1)], 8).unit()


def star(rng: Rng) -> Surface:
    """Return a puffed five-pointed star, highest in the middle."""
    depth, height = rng.uniform(0.42, 0.52), rng.uniform(0.16, 0.32)
    u = np.linspace(0, 2 * np.pi, 80, endpoint=False)[None]
    wave = np.abs((u * 5 / (2 * np.pi)) % 1 - 0.5) * 2
    outline = 0.5 * (depth + (1 - depth) * wave)
    t = np.linspace(-np.pi / 2, np.pi / 2, 25)[:, None]
    scale, z = _power(np.cos(t), 0.4), height / 2 * _power(np.sin(t), 0.6)
    scale[[0, -1]] = 0
    points = np.stack(
        [scale * outline * np.cos(u), scale * outline * np.sin(u), z + 0 * u], axis=-1
    )
    return _grid(points).unit()


KIND_SHAPES = {
    "duck": duck,
    "soccer ball": ball,
    "mug": mug,
    "lego brick": lego_brick,
    "teddy bear": teddy_bear,
    "block": block,
    "cube": cube,
    "ball": ball,
    "cylinder": cylinder,
    "ring": ring,
    "cone": cone,
    "star": star,
}


def stranger(rng: Rng) -> Surface:
    """Draw an object of no kind: a vase, a plate, an octahedron, a cross, or a spool."""
    choice = int(rng.integers(5))
    if choice == 0:
        return turned(
            [(0, 0), (0.2, 0), (0.34, 0.35), (0.1, 0.75), (0.18, 1), (0.14, 1), (0, 0.5)]
        ).unit()
    if choice == 1:
        return turned([(0, 0), (0.3, 0), (0.5, 0.1), (0.48, 0.12), (0.29, 0.03), (0, 0.03)]).unit()
    if choice == 2:
        return superquadric(1, 1, 1.2, 2.0, 2.0).unit()
    if choice == 3:
        long, short = superquadric(1, 0.24, 0.24, 0.1, 0.1), superquadric(0.24, 0.8, 0.24, 0.1, 0.1)
        return together(long, short).unit()
    return turned(
        [(0, 0), (0.4, 0), (0.4, 0.12), (0.16, 0.16), (0.16, 0.84), (0.4, 0.88), (0.4, 1), (0, 1)]
    ).unit()
