# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The four sets of test scenes: plain objects, patterned ones of other proportions, large images, crowded tables."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.heldout.shapes import KIND_SHAPES, Rng, Surface, stranger
from training.names import COLOURS, HELD_OUT_PAIRS, SEEN_PAIRS, Pair

Colour = tuple[float, float, float]

# (hue in degrees, saturation, value) in the middle of what people call by these names, and how far shades vary.
SHADES: dict[str, tuple[float, float, float]] = {
    "red": (0, 0.88, 0.80),
    "green": (125, 0.75, 0.60),
    "blue": (220, 0.82, 0.75),
    "yellow": (53, 0.85, 0.93),
    "orange": (27, 0.92, 0.94),
    "purple": (275, 0.70, 0.58),
    "white": (40, 0.03, 0.95),
    "black": (220, 0.08, 0.08),
    "pink": (335, 0.48, 0.95),
    "brown": (22, 0.65, 0.38),
}
SPREAD = (3.0, 0.06, 0.05)


@dataclass(frozen=True)
class SetOfScenes:
    """objects: least and most in a scene. half_m: objects stand within this distance of the middle.

    patterned: share of objects with a pattern. busy: share of tables with a pattern.
    """

    size: tuple[int, int]
    objects: tuple[int, int]
    half_m: float
    gap: float
    patterned: float
    busy: float
    strangers: int
    samples: int


SETS = {
    "plain": SetOfScenes((240, 320), (8, 12), 0.42, 1.0, 0.0, 0.3, 1, 16),
    "meshes": SetOfScenes((240, 320), (8, 13), 0.42, 0.95, 0.6, 0.7, 3, 16),
    "large": SetOfScenes((480, 640), (8, 13), 0.42, 0.95, 0.3, 0.5, 2, 9),
    "crowded": SetOfScenes((240, 320), (14, 21), 0.30, 0.62, 0.3, 0.5, 2, 16),
}


@dataclass(frozen=True)
class Standing:
    """An object on the table: its surface in metres where it stands, and the colour of each vertex (N, 3)."""

    pair: Pair | None
    surface: Surface
    colours: NDArray[np.float64]
    roughness: float


@dataclass(frozen=True)
class TestScene:
    """table (R, C, 3): the colours of the table's cells; floor: its colour; lamp: where the lamp hangs."""

    objects: tuple[Standing, ...]
    table: NDArray[np.float64]
    floor: Colour
    lamp: tuple[float, float, float]
    lamp_share: float
    eye: tuple[float, float, float]
    target: tuple[float, float, float]
    fov_deg: float


def shade(name: str, rng: Rng) -> NDArray[np.float64]:
    hue, saturation, value = (
        c + s * rng.uniform(-1, 1) for c, s in zip(SHADES[name], SPREAD, strict=True)
    )
    value = max(value, 0.04)
    return np.array(
        colorsys.hsv_to_rgb((hue % 360) / 360, float(np.clip(saturation, 0, 1)), min(value, 1.0))
    )


def _patterned(
    surface: Surface, colour: NDArray[np.float64], kind: str, share: float, rng: Rng
) -> NDArray[np.float64]:
    """Return colours by vertex: of one colour, or with bands, spots, a half, or patches of another."""
    points = surface.vertices - (surface.vertices.max(axis=0) + surface.vertices.min(axis=0)) / 2
    colours = np.tile(colour, (len(points), 1))
    other = np.full(3, 0.05) if colour.max() > 0.45 else np.full(3, 0.92)
    if kind == "soccer ball":
        golden = (1 + 5**0.5) / 2
        corners = [
            np.roll((0, a, b), k) for a in (-1, 1) for b in (-golden, golden) for k in range(3)
        ]
        directions = np.array(corners) / np.hypot(1, golden)
        unit = points / np.linalg.norm(points, axis=1, keepdims=True)
        colours[(unit @ directions.T).max(axis=1) > np.cos(0.37)] = other
        return colours
    if rng.random() >= share:
        return colours
    if rng.random() < 0.4:
        other = shade(str(rng.choice(COLOURS)), rng)
    direction = rng.normal(size=3)
    along = points @ (direction / np.linalg.norm(direction))
    style = int(rng.integers(3))
    if style == 0:
        marked = (along * rng.uniform(3, 6)) % 1 < rng.uniform(0.2, 0.35)
    elif style == 1:
        marked = np.sin(points * rng.uniform(12, 20)).prod(axis=1) > 0.35
    else:
        marked = along > np.quantile(along, rng.uniform(0.75, 0.9))
    colours[marked] = other
    return colours


def _table(busy: bool, rng: Rng) -> NDArray[np.float64]:
    """Return colours of cells: one tone, wood, checks or stripes, a third of them in a toy's colour."""
    if rng.random() < 0.33:
        tone = shade(str(rng.choice(COLOURS)), rng)
    else:
        tone = np.array(
            colorsys.hsv_to_rgb(
                rng.uniform(0.03, 0.15), rng.uniform(0.05, 0.5), rng.uniform(0.4, 0.9)
            )
        )
    cells = np.tile(tone, (128, 128, 1))
    if busy:
        row, column = np.mgrid[0:128, 0:128]
        width = int(rng.integers(6, 26))
        style = int(rng.integers(3))
        if style == 0:
            mask = (row // width + column // width) % 2 == 0
        elif style == 1:
            mask = (row // width) % 2 == 0
        else:
            mask = np.sin(row / width * 2 + 3 * np.sin(column / 40)) > 0.2
        cells[mask] *= rng.uniform(0.5, 0.85)
    return np.clip(cells + rng.normal(0, 0.012, (128, 128, 1)), 0.01, 1)


def draw(name: str, number: int) -> TestScene:
    """Draw scene `number` of a set; the same number gives the same scene. Half of the objects are of held-out pairs."""
    kind_of_set = SETS[name]
    rng = np.random.default_rng([2031, sorted(SETS).index(name), number])
    objects, taken = list[Standing](), list[tuple[float, float, float]]()
    low, high = kind_of_set.objects
    count = int(rng.integers(low, high + 1))
    unseen = sorted(HELD_OUT_PAIRS)
    for index in range(count + kind_of_set.strangers):
        pairs = unseen if rng.random() < 0.5 else SEEN_PAIRS
        pair = pairs[int(rng.integers(len(pairs)))] if index < count else None
        size = float(rng.uniform(0.09, 0.18))
        place = _free_place(taken, size / 2, kind_of_set, rng)
        if place is None:
            continue
        taken.append((*place, size / 2))
        kind = pair[1] if pair else ""
        surface = KIND_SHAPES[kind](rng) if pair else stranger(rng)
        colour = shade(pair[0] if pair else str(rng.choice(COLOURS)), rng)
        colours = _patterned(surface, colour, kind, kind_of_set.patterned, rng)
        yaw = rng.uniform(0, 2 * np.pi)
        c, s = np.cos(yaw), np.sin(yaw)
        turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
        standing = Surface(
            surface.vertices @ turn.T * size + np.array([*place, 0]), surface.triangles
        )
        objects.append(Standing(pair, standing, colours, float(rng.choice([0.0, 0.3, 0.5]))))
    azimuth, elevation = rng.uniform(0, 2 * np.pi), np.radians(rng.uniform(22, 60))
    distance = rng.uniform(0.75, 1.25)
    target = (float(rng.uniform(-0.1, 0.1)), float(rng.uniform(-0.1, 0.1)), 0.03)
    away = np.array(
        [
            np.cos(elevation) * np.cos(azimuth),
            np.cos(elevation) * np.sin(azimuth),
            np.sin(elevation),
        ]
    )
    eye = np.array(target) + distance * away
    lamp_at = rng.uniform(0, 2 * np.pi)
    return TestScene(
        tuple(objects),
        _table(rng.random() < kind_of_set.busy, rng),
        tuple(float(v) for v in rng.uniform(0.2, 0.6) * np.array([1, 1, 1])),
        (1.2 * float(np.cos(lamp_at)), 1.2 * float(np.sin(lamp_at)), float(rng.uniform(1.2, 2.2))),
        float(rng.uniform(0.35, 0.65)),
        (float(eye[0]), float(eye[1]), float(eye[2])),
        target,
        float(rng.uniform(42, 55)),
    )


def _free_place(
    taken: list[tuple[float, float, float]], radius: float, kind_of_set: SetOfScenes, rng: Rng
) -> tuple[float, float] | None:
    half = kind_of_set.half_m
    for _ in range(30):
        x, y = float(rng.uniform(-half, half)), float(rng.uniform(-half, half))
        if all(np.hypot(x - ox, y - oy) > kind_of_set.gap * (radius + r) for ox, oy, r in taken):
            return x, y
    return None
