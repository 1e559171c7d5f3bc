# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Shapes of the twelve kinds with random proportions, and shapes of no kind: each call draws another one.

Every shape is normalised to unit size, z up, resting on z = 0. Its parts (a beak, ears, studs) may get a colour of
their own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from training.meshes import (
    Faces,
    Mesh,
    Shape,
    box,
    build_clutter,
    build_shapes,
    joined,
    prism,
    sphere,
    torus,
)

Rng = np.random.Generator
CLUTTER_COUNT = 200


@dataclass(frozen=True)
class Body:
    """A mesh and, for each of its faces, whether it belongs to a part that may get its own colour."""

    mesh: Mesh
    is_part: NDArray[np.bool_]


def body_of(base: Mesh, part: Mesh | None = None) -> Body:
    """Join a base and a part, normalised together."""
    if part is None:
        return Body(base.normalised(), np.zeros(len(base.faces), np.bool_))
    flags = np.repeat([False, True], [len(base.faces), len(part.faces)])
    return Body(joined(base, part).normalised(), flags)


def scaled(mesh: Mesh, x: float, y: float, z: float) -> Mesh:
    return Mesh(mesh.vertices * np.array([x, y, z]), mesh.faces)


def turned(mesh: Mesh, axis: int, degrees: float) -> Mesh:
    """Turn a mesh about a coordinate axis through the origin."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    i, j = (axis + 1) % 3, (axis + 2) % 3
    vertices = mesh.vertices.copy()
    vertices[:, i] = c * mesh.vertices[:, i] - s * mesh.vertices[:, j]
    vertices[:, j] = s * mesh.vertices[:, i] + c * mesh.vertices[:, j]
    return Mesh(vertices, mesh.faces)


def ellipsoid(x: float, y: float, z: float) -> Mesh:
    """Return an ellipsoid with these diameters about the origin."""
    return scaled(sphere(), x, y, z)


def lathe(profile: list[tuple[float, float]], count: int = 36) -> Mesh:
    """Return the surface of revolution of (radius, height) points about the z axis."""
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    rings = [
        np.stack([r * np.cos(angle), r * np.sin(angle), np.full(count, z)], axis=1)
        for r, z in profile
    ]
    return Mesh(np.concatenate(rings), _tube_faces(len(profile), count))


def sweep(path: NDArray[np.float64], radius: float, count: int = 12) -> Mesh:
    """Return a tube of this radius along a path (N, 3) in a plane of constant y."""
    tangents = np.gradient(path, axis=0)
    tangents /= np.linalg.norm(tangents, axis=1, keepdims=True)
    side = np.array([0.0, 1.0, 0.0])
    normals = np.cross(tangents, side)
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)[:, None]
    rings = [
        p + radius * (np.cos(angle) * n + np.sin(angle) * side)
        for p, n in zip(path, normals, strict=True)
    ]
    return Mesh(np.concatenate(rings), _tube_faces(len(path), count))


def _tube_faces(rings: int, count: int) -> Faces:
    faces: Faces = []
    for ring in range(rings - 1):
        for i in range(count):
            j, a, b = (i + 1) % count, ring * count, (ring + 1) * count
            faces += [(a + i, a + j, b + j), (a + i, b + j, b + i)]
    return faces


@lru_cache(maxsize=1)
def _detailed_shapes() -> dict[str, Shape]:
    return build_shapes()


@lru_cache(maxsize=1)
def _clutter() -> list[Mesh]:
    """Return the random solids of pybullet_data; some of its files have no finite extent."""
    return [m for m in build_clutter(CLUTTER_COUNT).values() if np.isfinite(m.vertices).all()]


def _own_shape(kind: str, rng: Rng) -> Body:
    """Return the shape of the shipped recording, stretched a little, its details as the part."""
    shape = _detailed_shapes()[kind]
    factors = [float(f) for f in rng.uniform(0.88, 1.14, 3)]
    part = None if shape.details is None else scaled(shape.details, *factors)
    return body_of(scaled(shape.body, *factors), part)


def _duck(rng: Rng) -> Body:
    if rng.random() < 0.3:
        return _own_shape("duck", rng)
    length, width, height = 1.0, rng.uniform(0.6, 0.85), rng.uniform(0.5, 0.75)
    head = rng.uniform(0.4, 0.6)
    head_x, head_z = rng.uniform(0.18, 0.36), height * 0.5 + head * rng.uniform(0.3, 0.5)
    base = [
        ellipsoid(length, width, height),
        ellipsoid(head, head * rng.uniform(0.85, 1.05), head).moved(head_x, 0, head_z),
        turned(ellipsoid(0.4, rng.uniform(0.2, 0.4), 0.16), 1, rng.uniform(-50, -15)).moved(
            -0.45, 0, rng.uniform(0.08, 0.25)
        ),
    ]
    if rng.random() < 0.6:
        for side in (-1, 1):
            wing = ellipsoid(rng.uniform(0.4, 0.6), 0.12, rng.uniform(0.2, 0.35))
            base.append(wing.moved(-0.08, side * width * 0.47, 0.06))
    beak = ellipsoid(rng.uniform(0.25, 0.4), rng.uniform(0.2, 0.32), rng.uniform(0.08, 0.16))
    return body_of(joined(*base), beak.moved(head_x + head * 0.55, 0, head_z - 0.04))


def _mug(rng: Rng) -> Body:
    if rng.random() < 0.15:
        return _own_shape("mug", rng)
    height, radius = 1.0, rng.uniform(0.32, 0.56)
    low, bulge = radius * rng.uniform(0.7, 1.05), rng.uniform(-0.05, 0.12)
    wall = rng.uniform(0.03, 0.07)
    t = np.linspace(0, 1, 10)
    outer = low + (radius - low) * t + bulge * np.sin(np.pi * t)
    floor = rng.uniform(0.05, 0.12)
    profile = [(0.0, 0.0), *zip(outer, t * height, strict=True)]
    inner = [(r - wall, max(z, floor)) for r, z in zip(outer[::-1], t[::-1] * height, strict=True)]
    cup = lathe([(float(r), float(z)) for r, z in [*profile, *inner, (0.0, floor)]])
    reach, half, middle = rng.uniform(0.18, 0.38), rng.uniform(0.2, 0.34), rng.uniform(0.45, 0.6)
    angle = np.linspace(-np.pi / 2, np.pi / 2, 18)
    power = rng.uniform(0.45, 1.0)
    x = np.interp(middle, t, outer) - 0.03 + reach * np.abs(np.cos(angle)) ** power
    path = np.stack([x, np.zeros(18), middle + half * np.sin(angle)], axis=1)
    return body_of(cup, sweep(path, rng.uniform(0.04, 0.075)))


def _lego_brick(rng: Rng) -> Body:
    if rng.random() < 0.25:
        return _own_shape("lego brick", rng)
    columns, rows = ((4, 2), (3, 2), (2, 2), (4, 2), (2, 1), (4, 1), (6, 2))[int(rng.integers(7))]
    height, stud = rng.uniform(0.7, 1.4), rng.uniform(0.25, 0.36)
    disc = prism(_circle(stud, 16), rng.uniform(0.18, 0.3))
    studs = [
        disc.moved(i - (columns - 1) / 2, j - (rows - 1) / 2, height)
        for i in range(columns)
        for j in range(rows)
    ]
    return body_of(joined(box(columns, rows, height), *studs))


def _circle(radius: float, count: int) -> NDArray[np.float64]:
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    return radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)


def _teddy_bear(rng: Rng) -> Body:
    if rng.random() < 0.3:
        return _own_shape("teddy bear", rng)
    width, height, depth = rng.uniform(0.5, 0.68), rng.uniform(0.6, 0.8), rng.uniform(0.42, 0.56)
    head = rng.uniform(0.45, 0.6)
    head_z = height * 0.5 + head * rng.uniform(0.32, 0.42)
    sits = rng.random() < 0.6
    base = [
        ellipsoid(depth, width, height),
        ellipsoid(head * 0.95, head, head * 0.92).moved(0, 0, head_z),
    ]
    parts = [ellipsoid(0.2, 0.24, 0.18).moved(head * 0.45, 0, head_z - 0.06)]
    ear, arm = rng.uniform(0.16, 0.26), rng.uniform(0.16, 0.22)
    raised, spread = rng.uniform(-60, 40), rng.uniform(0.16, 0.3)
    for side in (-1, 1):
        ear_y, ear_z = side * head * 0.38, head_z + head * 0.38
        parts.append(ellipsoid(0.1, ear, ear).moved(0, ear_y, ear_z))
        limb = turned(ellipsoid(arm, rng.uniform(0.35, 0.5), arm), 0, side * raised)
        base.append(limb.moved(0.08, side * (width * 0.5 + 0.1), height * 0.18))
        if sits:
            leg = ellipsoid(rng.uniform(0.42, 0.55), 0.22, 0.22)
            base.append(leg.moved(0.25, side * spread, -height * 0.35))
            parts.append(ellipsoid(0.1, 0.2, 0.22).moved(0.5, side * spread, -height * 0.35))
        else:
            base.append(ellipsoid(0.24, 0.22, 0.5).moved(0, side * spread * 0.7, -height * 0.5))
    return body_of(joined(*base), joined(*parts))


def _block(rng: Rng) -> Body:
    if rng.random() < 0.15:
        return _own_shape("block", rng)
    return body_of(box(1.0, rng.uniform(0.22, 0.5), rng.uniform(0.13, 0.4)))


def _cube(rng: Rng) -> Body:
    if rng.random() < 0.2:
        return _own_shape("cube", rng)
    return body_of(_rounded_box(rng.uniform(0.92, 1.06, 3), rng.choice([0.0, 0.0, 0.04, 0.1])))


def _rounded_box(sides: NDArray[np.float64], bevel: float) -> Mesh:
    """Return a box whose vertical edges are cut off by `bevel`."""
    x, y, z = (float(side) for side in sides)
    if bevel == 0:
        return box(x, y, z)
    a, b = x / 2, y / 2
    corners = [(a - bevel, -b), (a, -b + bevel), (a, b - bevel), (a - bevel, b)]
    outline = np.array(corners + [(-px, -py) for px, py in corners])
    order = np.argsort(np.arctan2(outline[:, 1], outline[:, 0]))
    return prism(outline[order], z)


def _ball(rng: Rng) -> Body:
    return body_of(ellipsoid(1, 1, rng.uniform(0.96, 1.04)))


def _cylinder(rng: Rng) -> Body:
    if rng.random() < 0.15:
        return _own_shape("cylinder", rng)
    height, rim = 1.0, rng.choice([0.0, 0.0, 0.02, 0.04])
    radius = rng.uniform(0.22, 0.46)
    inner = radius - rim
    profile = [
        (0, 0),
        (inner, 0),
        (radius, rim),
        (radius, height - rim),
        (inner, height),
        (0, height),
    ]
    return body_of(lathe([(float(r), float(z)) for r, z in profile]))


def _ring(rng: Rng) -> Body:
    if rng.random() < 0.15:
        return _own_shape("ring", rng)
    if rng.random() < 0.2:  # a flat one
        inner, height = rng.uniform(0.25, 0.38), rng.uniform(0.08, 0.25)
        profile = [(inner, 0.0), (0.5, 0.0), (0.5, height), (inner, height), (inner, 0.0)]
        return body_of(lathe([(float(r), float(z)) for r, z in profile]))
    return body_of(scaled(torus(rng.uniform(0.08, 0.19)), 1, 1, rng.uniform(0.8, 1.2)))


def _cone(rng: Rng) -> Body:
    if rng.random() < 0.15:
        return _own_shape("cone", rng)
    radius, tip = rng.uniform(0.28, 0.58), rng.choice([0.0, 0.0, 0.03, 0.07])
    cone = lathe([(0.0, 0.0), (float(radius), 0.0), (float(tip), 1.0), (0.0, 1.0)])
    if rng.random() < 0.25:  # a traffic cone
        side = 2 * radius * rng.uniform(1.1, 1.3)
        return body_of(cone, box(float(side), float(side), 0.06))
    return body_of(cone)


def _star(rng: Rng) -> Body:
    if rng.random() < 0.15:
        return _own_shape("star", rng)
    points, inner = int(rng.choice([4, 5, 5, 5, 5, 6])), rng.uniform(0.36, 0.56)
    angle = np.linspace(0, 2 * np.pi, 2 * points, endpoint=False)
    radius = np.where(np.arange(2 * points) % 2 == 0, 0.5, 0.5 * inner)
    outline = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    flat = prism(outline, float(rng.uniform(0.12, 0.35)))
    if rng.random() < 0.3:  # its middle is higher than its tips
        vertices = flat.vertices.copy()
        vertices[-1, 2] *= rng.uniform(1.2, 1.8)
        flat = Mesh(vertices, flat.faces)
    return body_of(flat)


SHAPES: dict[str, Callable[[Rng], Body]] = {
    "duck": _duck,
    "soccer ball": _ball,  # its pattern makes it one
    "mug": _mug,
    "lego brick": _lego_brick,
    "teddy bear": _teddy_bear,
    "block": _block,
    "cube": _cube,
    "ball": _ball,
    "cylinder": _cylinder,
    "ring": _ring,
    "cone": _cone,
    "star": _star,
}


def unknown_shape(rng: Rng) -> Body:
    """Draw a shape of no kind: a random solid, pyramid, prism, bottle, bowl, plate, dome, capsule or barbell."""
    choice = int(rng.integers(10))
    if choice < 3:
        solid = _clutter()[int(rng.integers(len(_clutter())))]
        return body_of(scaled(solid, *(float(f) for f in rng.uniform(0.7, 1.3, 3))))
    if choice == 3:
        sides = int(rng.choice([3, 4]))
        return body_of(lathe([(0, 0), (rng.uniform(0.4, 0.7), 0), (0, rng.uniform(0.5, 1))], sides))
    if choice == 4:
        return body_of(prism(_circle(0.5, int(rng.choice([3, 6]))), rng.uniform(0.15, 1.0)))
    if choice == 5:
        neck, radius = rng.uniform(0.06, 0.12), rng.uniform(0.18, 0.3)
        shoulder = rng.uniform(0.5, 0.7)
        return body_of(
            lathe([(0, 0), (radius, 0), (radius, shoulder), (neck, 0.8), (neck, 1), (0, 1)])
        )
    if choice == 6:
        depth, rim = rng.uniform(0.08, 0.5), rng.uniform(0.2, 0.35)
        return body_of(
            lathe([(0, 0), (rim, 0), (0.5, depth), (0.46, depth), (rim, 0.04), (0, 0.04)])
        )
    if choice == 7:
        t = np.linspace(0, np.pi / 2, 9)
        height = rng.uniform(0.4, 0.8)
        dome = [(0.5 * np.cos(a), height * np.sin(a)) for a in t]
        return body_of(lathe([(0.0, 0.0), *((float(r), float(z)) for r, z in dome)]))
    if choice == 8:
        bar = scaled(sphere(), 0.3, 0.3, 0.3)
        ends = joined(bar.moved(-0.35, 0, 0), bar.moved(0.35, 0, 0))
        return body_of(joined(ends, box(0.7, 0.12, 0.12).moved(0, 0, -0.06)))
    return body_of(scaled(sphere(), 1, rng.uniform(0.3, 0.6), rng.uniform(0.25, 0.6)))
