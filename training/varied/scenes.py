# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Draws varied scenes: no pattern, part, size, place or light goes with one kind more than with another.

The only exception is the soccer ball, which is a ball by its shape: its patches stay, in varied sizes and colours.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.meshes import box
from training.names import COLOURS, KINDS, SEEN_PAIRS, Pair
from training.scene import COLOUR_RANGES
from training.varied.meshes import SHAPES, Body, body_of, unknown_shape
from training.varied.renderer import Item, Lighting, Look, VariedScene, Vector

VARIANTS = 10
"""Shapes of each kind in one library."""
UNKNOWN_VARIANTS = 30
TIPPED_SHARE = {
    "cylinder": 0.3,
    "cone": 0.12,
    "mug": 0.15,
    "block": 0.35,
    "ring": 0.2,
    "star": 0.15,
}
TIPPED_SHARE |= {"teddy bear": 0.15, "lego brick": 0.1, "duck": 0.03}
TABLE_HEIGHT_M = 0.7
Rng = np.random.Generator


@dataclass(frozen=True)
class Library:
    """Bodies, and the numbers of those of each kind; bodies without a kind stand under ''."""

    bodies: list[Body]
    of_kind: dict[str, list[int]]

    @classmethod
    def drawn(cls, rng: Rng) -> Library:
        bodies = [body_of(box(1, 1, 1))]
        of_kind: dict[str, list[int]] = {}
        for kind in [*KINDS, ""]:
            count = VARIANTS if kind else UNKNOWN_VARIANTS
            numbers = range(
                len(bodies) + 1, len(bodies) + 1 + count
            )  # body 0 is the renderer's plane
            bodies += [SHAPES[kind](rng) if kind else unknown_shape(rng) for _ in numbers]
            of_kind[kind] = list(numbers)
        return cls(bodies, of_kind)


BOX = 1
"""The number of the body that stands for tables, walls and boards."""


def _u(rng: Rng, low: float, high: float) -> float:
    return float(rng.uniform(low, high))


def _hsv(hue_deg: float, saturation: float, value: float) -> Vector:
    return colorsys.hsv_to_rgb(
        (hue_deg % 360) / 360, min(max(saturation, 0), 1), min(max(value, 0), 1)
    )


def named_colour(name: str, rng: Rng) -> Vector:
    """Draw a shade of a colour, in slightly wider ranges than those of the recording."""
    (hue, saturation, value) = COLOUR_RANGES[name]
    drawn_hue = _u(rng, hue[0] - 2, hue[1] + 2)
    drawn_value = _u(rng, value[0] - (0.02 if name == "black" else 0.07), value[1] + 0.03)
    return _hsv(drawn_hue, _u(rng, saturation[0] - 0.04, saturation[1]), drawn_value)


def any_colour(rng: Rng) -> Vector:
    """Draw a toy's colour, a grey, or any other colour."""
    choice = rng.random()
    if choice < 0.5:
        return named_colour(str(rng.choice(COLOURS)), rng)
    if choice < 0.75:
        return _hsv(_u(rng, 0, 360), _u(rng, 0, 0.15), _u(rng, 0.1, 1))
    return _hsv(_u(rng, 0, 360), _u(rng, 0, 1), _u(rng, 0.1, 1))


def _shade(colour: Vector, factor: float) -> Vector:
    r, g, b = (min(1.0, c * factor) for c in colour)
    return (r, g, b)


def _unit(rng: Rng) -> Vector:
    """Draw a direction: a coordinate axis half of the time."""
    if rng.random() < 0.5:
        x, y, z = np.eye(3)[int(rng.integers(3))]
        return (float(x), float(y), float(z))
    v = rng.normal(size=3)
    v /= np.linalg.norm(v)
    return (float(v[0]), float(v[1]), float(v[2]))


def _contrasting(colour: Vector, rng: Rng) -> Vector:
    """Draw black, white, a darker or lighter shade, or any other colour."""
    choice = rng.random()
    if choice < 0.4:
        return (0.05, 0.05, 0.05) if max(colour) > 0.5 else (0.95, 0.95, 0.95)
    if choice < 0.65:
        return _shade(colour, _u(rng, 0.45, 0.75) if max(colour) > 0.3 else 4.0)
    return any_colour(rng)


def toy_look(kind: str, colour: Vector, rng: Rng) -> Look:
    """Draw the surface of a toy: plain half of the time, and otherwise with less than half of another colour."""
    gloss, shine = (0.0, 20.0) if rng.random() < 0.4 else (_u(rng, 0.05, 0.5), _u(rng, 8, 90))
    second, of_parts = _contrasting(colour, rng), colour
    if rng.random() < 0.45:
        of_parts = _contrasting(colour, rng)
    pattern, shape = 0, (4.0, 0.3, 0.05, 0.0)
    centre = (0.0, 0.0, -0.5)
    if kind == "soccer ball":
        pattern, shape = 7, (0.0, _u(rng, 0.3, 0.46), 0.0, 0.0)
        second = (0.05, 0.05, 0.05) if max(colour) > 0.4 else (0.95, 0.95, 0.95)
        if rng.random() < 0.3:
            second = _contrasting(colour, rng)
    elif rng.random() < 0.5:
        pattern = int(rng.choice([1, 3, 4, 5, 6, 8, 9, 2]))
        frequency, share = _u(rng, 1.5, 7), _u(rng, 0.12, 0.4)
        if pattern == 3:
            share = _u(rng, 0.3, 0.48)
        if pattern == 6:
            frequency, share = _u(rng, 0, 8), _u(rng, 0.1, 0.28)
        if pattern == 8:
            frequency, share = _u(rng, -0.25, 0.25), _u(rng, 0.04, 0.14)
        if pattern in (2, 4):  # half of the surface, so a shade of the same colour
            second = _shade(colour, _u(rng, 0.6, 0.88))
        shape = (frequency, share, _u(rng, 0.01, 0.15), float(rng.random() < 0.5))
    return Look(colour, second, of_parts, pattern, shape, _unit(rng), centre, gloss, shine)


def plain_look(colour: Vector) -> Look:
    return Look(colour, colour, colour)


def surface_look(rng: Rng, tiles_m: float) -> Look:
    """Draw a table's or floor's surface: any colour and pattern, at a scale of about `tiles_m`."""
    colour = any_colour(rng)
    if rng.random() < 0.35:
        colour = _hsv(_u(rng, 18, 45), _u(rng, 0.15, 0.65), _u(rng, 0.35, 0.95))  # wood
    second = _contrasting(colour, rng) if rng.random() < 0.4 else _shade(colour, _u(rng, 0.7, 0.92))
    pattern = int(rng.choice([0, 0, 0, 1, 2, 3, 4, 4, 5, 10, 10]))
    frequency = 1 / (tiles_m * _u(rng, 0.35, 2.5))
    share = _u(rng, 0.05, 0.5)
    if pattern == 10:
        share = _u(rng, 0.02, 0.08)
    spare = _u(rng, 0.05, 0.2) if pattern == 3 else _u(rng, 1, 5)
    axis = _unit(rng) if rng.random() < 0.3 else (1.0, 0.0, 0.0)
    offset = (_u(rng, 0, 9), _u(rng, 0, 9), 0.03)
    gloss = _u(rng, 0, 0.15) if rng.random() < 0.4 else 0.0
    return Look(
        colour, second, colour, pattern, (frequency, share, spare, 0), axis, offset, gloss, 40
    )


def lighting(rng: Rng) -> Lighting:
    azimuth, elevation = _u(rng, 0, 2 * np.pi), np.radians(_u(rng, 28, 88))
    direction = _spherical(azimuth, elevation)
    warmth = _u(rng, -0.08, 0.08)
    tint = np.array([1 + min(0.0, warmth), 1 - abs(warmth) / 2, 1 - max(0.0, warmth)])
    linear = bool(rng.random() < 0.5)
    ambient = _u(rng, 0.28, 0.62)
    total = _u(rng, 0.85, 1.15)
    fill = _spherical(_u(rng, 0, 2 * np.pi), np.radians(_u(rng, 5, 60)))
    ground = ambient * _u(rng, 0.55, 1.0)
    return Lighting(
        direction=direction,
        colour=_vector(tint * (total - ambient)),
        sky=_vector(np.full(3, ambient)),
        ground=_vector(np.full(3, ground)),
        fill=fill,
        fill_strength=_u(rng, 0, 0.2) if rng.random() < 0.5 else 0.0,
        shadow=_u(rng, 0.5, 1) if rng.random() < 0.85 else 0.0,
        softness=_u(rng, 0.0005, 0.012),
        linear=linear,
        contact=_u(rng, 0, 0.55),
    )


def _vector(values: NDArray[np.float64]) -> Vector:
    return (float(values[0]), float(values[1]), float(values[2]))


def _spherical(azimuth: float, elevation: float) -> Vector:
    c = float(np.cos(elevation))
    return (c * float(np.cos(azimuth)), c * float(np.sin(azimuth)), float(np.sin(elevation)))


def _rotation(kind: str, rng: Rng) -> NDArray[np.float64]:
    """Draw a rotation (3, 3): about z, and sometimes onto a side; balls in every direction."""
    if kind in ("ball", "soccer ball") or (not kind and rng.random() < 0.3):
        q, r = np.linalg.qr(rng.normal(size=(3, 3)))
        q = q * np.sign(np.diag(r))
        return q if np.linalg.det(q) > 0 else -q
    yaw = _turn(2, _u(rng, 0, 2 * np.pi))
    if rng.random() >= TIPPED_SHARE.get(kind, 0.0):
        return yaw
    about = _turn(2, np.pi / 2 * int(rng.integers(4)) if kind == "block" else _u(rng, 0, 2 * np.pi))
    return np.asarray(yaw @ _turn(0, np.pi / 2) @ about)


def _turn(axis: int, radians: float) -> NDArray[np.float64]:
    i, j = (axis + 1) % 3, (axis + 2) % 3
    matrix = np.eye(3)
    matrix[i, i] = matrix[j, j] = np.cos(radians)
    matrix[j, i], matrix[i, j] = np.sin(radians), -np.sin(radians)
    return matrix


def placed(
    body: Body, rotation: NDArray[np.float64], size_m: float, x: float, y: float
) -> NDArray[np.float64]:
    """Return the matrix (4, 4) that puts a turned body onto the table."""
    lowest = float((body.mesh.vertices @ rotation.T)[:, 2].min())
    model = np.eye(4)
    model[:3, :3] = rotation * size_m
    model[:3, 3] = (x, y, -lowest * size_m)
    return model


def _slab(size: Vector, position: Vector) -> NDArray[np.float64]:
    model = np.diag([*size, 1.0])
    model[:3, 3] = position
    return model


class VariedSampler:
    """Samples scenes of one library. `pairs` of an object's number minus one: its pair."""

    def __init__(self, library: Library) -> None:
        self.library = library

    def scene(self, rng: Rng) -> tuple[VariedScene, tuple[Pair | None, ...]]:
        crowded = rng.random() < 0.3
        count = int(rng.integers(14, 22)) if crowded else int(rng.integers(7, 16))
        half, gap = (
            (_u(rng, 0.24, 0.36), _u(rng, 0.6, 0.95)) if crowded else (0.48, _u(rng, 0.8, 0.98))
        )
        plain, known = rng.random() < 0.25, rng.random() < 0.9
        items, pairs, taken = self._ground(rng), list[Pair](), list[Vector]()
        for index in range(count + int(rng.integers(0, 6))):
            if index < count and known:
                pair = SEEN_PAIRS[int(rng.integers(len(SEEN_PAIRS)))]
                item = self._object(pair, len(pairs) + 1, taken, half, gap, rng, plain)
                if item:
                    pairs.append(pair)
            else:
                item = self._object(None, 0, taken, half, gap, rng, plain)
            if item:
                items.append(item)
        scene = VariedScene(tuple(items), lighting(rng), any_colour(rng), tuple(taken))
        return scene, tuple(pairs)

    def _object(
        self,
        pair: Pair | None,
        number: int,
        taken: list[Vector],
        half_m: float,
        gap: float,
        rng: Rng,
        plain: bool,
    ) -> Item | None:
        kind = pair[1] if pair else ""
        size = _u(rng, 0.07, 0.20)
        radius = size / 2
        for _ in range(20):
            x, y = _u(rng, -half_m, half_m), _u(rng, -half_m, half_m)
            if all(np.hypot(x - ox, y - oy) > gap * (radius + r) for ox, oy, r in taken):
                break
        else:
            return None
        taken.append((x, y, radius))
        body = int(rng.choice(self.library.of_kind[kind]))
        colour = named_colour(pair[0], rng) if pair else any_colour(rng)
        bare = plain and kind != "soccer ball"
        look = plain_look(colour) if bare else toy_look(kind, colour, rng)
        if not pair and rng.random() < 0.15:
            size *= _u(rng, 1.2, 2.5)
        model = placed(self.library.bodies[body - 1], _rotation(kind, rng), size, x, y)
        return Item(body, model, look, number)

    def _ground(self, rng: Rng) -> list[Item]:
        """Return a table on a floor, or the floor alone, with a wall and flat boards or prints sometimes."""
        items = []
        if rng.random() < 0.75:
            half = _u(rng, 0.5, 0.9)
            look = surface_look(rng, 0.15 / half)
            items.append(Item(BOX, _slab((2 * half, 2 * half, 0.03), (0, 0, -0.03)), look, 0))
            floor = surface_look(rng, 0.3 / 5)
            items.append(Item(0, _slab((5, 5, 1), (0, 0, -TABLE_HEIGHT_M)), floor, 0, cast=False))
        else:
            floor = surface_look(rng, 0.2 / 4)
            items.append(Item(0, _slab((4, 4, 1), (0, 0, 0)), floor, 0, cast=False))
        if rng.random() < 0.35:
            wall = surface_look(rng, 0.3)
            x = _u(rng, 0.7, 1.5) * (1 if rng.random() < 0.5 else -1)
            items.append(Item(BOX, _slab((0.05, 5, 3), (x, 0, -0.8)), wall, 0, cast=False))
        for _ in range(
            int(rng.integers(0, 4)) if rng.random() < 0.35 else 0
        ):  # cards, cloths, books
            size = (_u(rng, 0.08, 0.45), _u(rng, 0.08, 0.45), _u(rng, 0.001, 0.01))
            model = _slab(size, (_u(rng, -0.4, 0.4), _u(rng, -0.4, 0.4), 0))
            model[:3, :3] = _turn(2, _u(rng, 0, 6.3)) @ model[:3, :3]
            items.append(Item(BOX, model, surface_look(rng, 0.4), 0, cast=False))
        return items

    def camera(self, rng: Rng, crowded_half_m: float = 0.25) -> tuple[Vector, Vector, float, float]:
        """Return eye, target, vertical field of view in degrees and roll in degrees."""
        h = crowded_half_m
        target = (_u(rng, -h, h), _u(rng, -h, h), _u(rng, 0.0, 0.08))
        distance = float(np.exp(_u(rng, np.log(0.5), np.log(1.5))))
        away = _spherical(_u(rng, 0, 2 * np.pi), np.radians(_u(rng, 15, 75)))
        eye = _vector(np.array(target) + distance * np.array(away))
        return eye, target, _u(rng, 38, 64), float(rng.normal(0, 6))
