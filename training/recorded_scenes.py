# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The scenes of the shipped recording: objects on four tables, and the path of the camera over each.

Written by hand, so that the cases worth testing occur in every rendering: every held-out pair, two objects of one
name, distractors in the same colour or of the same kind, objects that leave the image and return, and objects
that another one hides for about a second.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pybullet

from training.meshes import Mesh, build_bodies
from training.names import Pair
from training.scene import Camera, Light, Placement, Scene, Surface, random_colour, rotate

VERTICAL_FOV_DEG = 50.0
"""Of every frame: a recording has one camera_info."""


@dataclass(frozen=True)
class SceneObject:
    """An upright object on the table: position of its centre, size, and rotation about z."""

    name: str  # "COLOUR KIND"
    x_m: float
    y_m: float
    size_m: float
    yaw_deg: float = 0.0

    @property
    def pair(self) -> Pair:
        colour, kind = self.name.split(" ", maxsplit=1)
        return (colour, kind)


@dataclass(frozen=True)
class View:
    """A camera that points at a target just above the table, level with the horizon.

    azimuth_deg: direction from the target to the camera, about z from x. elevation_deg: above the table.
    """

    azimuth_deg: float
    elevation_deg: float
    distance_m: float
    x_m: float
    y_m: float

    @property
    def target_m(self) -> tuple[float, float, float]:
        return (self.x_m, self.y_m, 0.03)

    @property
    def eye_m(self) -> tuple[float, float, float]:
        azimuth, elevation = np.radians(self.azimuth_deg), np.radians(self.elevation_deg)
        away = np.array(
            [
                np.cos(elevation) * np.cos(azimuth),
                np.cos(elevation) * np.sin(azimuth),
                np.sin(elevation),
            ]
        )
        x, y, z = np.array(self.target_m) + self.distance_m * away
        return (float(x), float(y), float(z))

    @property
    def camera(self) -> Camera:
        return Camera(self.eye_m, self.target_m, VERTICAL_FOV_DEG)

    @property
    def quaternion(self) -> tuple[float, float, float, float]:
        """(x, y, z, w): turns camera_link (x forward, y left, z up; REP 103) into the world's axes."""
        pitch, yaw = np.radians(self.elevation_deg), np.radians(self.azimuth_deg + 180)
        x, y, z, w = pybullet.getQuaternionFromEuler([0, pitch, yaw])
        return (float(x), float(y), float(z), float(w))


@dataclass(frozen=True)
class SceneScript:
    """Objects on a table, clutter as (number of the shape, x, y, size), and the camera's path.

    The path is the quadratic Bézier curve of three views: it starts at the first, ends at the last and is
    drawn towards the middle one.
    """

    objects: tuple[SceneObject, ...]
    clutter: tuple[tuple[int, float, float, float], ...]
    table: Surface
    floor: Surface
    light: Light
    path: tuple[View, View, View]

    def view(self, progress: float) -> View:
        """Return the view at `progress`, from 0 to 1."""
        weights = ((1 - progress) ** 2, 2 * progress * (1 - progress), progress**2)
        points = np.array(
            [(v.azimuth_deg, v.elevation_deg, v.distance_m, v.x_m, v.y_m) for v in self.path]
        )
        return View(*(float(value) for value in np.array(weights) @ points))

    def scene(self, seed: int) -> Scene:
        """Return the scene to render: its objects in order, then the clutter. The seed picks the shades."""
        rng = np.random.default_rng(seed)
        meshes = build_bodies()
        placements = [_place(placed, meshes, rng) for placed in self.objects]
        for shape, x, y, size in self.clutter:
            grey = float(rng.uniform(0.35, 0.65))
            placements.append(
                Placement(
                    None, f"clutter {shape}", size, (x, y, 0.0), (0, 0, 0, 1), (grey, grey, grey)
                )
            )
        return Scene(tuple(placements), self.table, self.floor, self.light)


def _place(placed: SceneObject, meshes: dict[str, Mesh], rng: np.random.Generator) -> Placement:
    colour, kind = placed.pair
    x, y, z, w = pybullet.getQuaternionFromEuler([0, 0, np.radians(placed.yaw_deg)])
    lowest_m = rotate(meshes[kind].vertices, (x, y, z, w))[:, 2].min() * placed.size_m
    position = (placed.x_m, placed.y_m, -float(lowest_m))
    shade = random_colour(colour, rng)
    return Placement(placed.pair, kind, placed.size_m, position, (x, y, z, w), shade)


def _light(azimuth_deg: float, elevation_deg: float, ambient: float) -> Light:
    azimuth, elevation = np.radians(azimuth_deg), np.radians(elevation_deg)
    direction = (
        float(np.cos(elevation) * np.cos(azimuth)),
        float(np.cos(elevation) * np.sin(azimuth)),
        float(np.sin(elevation)),
    )
    return Light(direction, (1.0, 1.0, 0.98), ambient, 1.0 - ambient, 0.05, shadow=True)


TILED_FLOOR = Surface((0.60, 0.57, 0.53), 11)
DARK_FLOOR = Surface((0.30, 0.31, 0.34), None)

SCENES: tuple[SceneScript, ...] = (
    # An orbit at arm's length.
    SceneScript(
        objects=(
            SceneObject("red duck", 0.05, -0.05, 0.15, 200),
            SceneObject("white mug", -0.22, 0.12, 0.13, 40),
            SceneObject("blue teddy bear", 0.24, 0.20, 0.17, 150),
            SceneObject("yellow cube", -0.12, -0.26, 0.10, 25),
            SceneObject("green ball", 0.30, -0.12, 0.12),
            SceneObject("purple block", 0.02, 0.27, 0.16, 70),
            SceneObject("black star", -0.35, -0.12, 0.14, 10),
            SceneObject("yellow cone", 0.17, -0.33, 0.15),
            SceneObject("yellow duck", -0.06, 0.10, 0.12, 300),
            SceneObject("green cylinder", -0.38, 0.28, 0.15),
        ),
        clutter=((3, 0.40, 0.05, 0.10),),
        table=Surface((0.86, 0.70, 0.50), 5),
        floor=TILED_FLOOR,
        light=_light(30, 62, 0.5),
        path=(
            View(-70, 34, 0.95, 0.0, -0.05),
            View(-20, 22, 0.70, 0.05, 0.0),
            View(45, 30, 0.90, 0.0, 0.05),
        ),
    ),
    # An approach in which objects leave the image on both sides.
    SceneScript(
        objects=(
            SceneObject("red duck", -0.10, 0.18, 0.14, 20),
            SceneObject("white mug", 0.12, -0.08, 0.13, 250),
            SceneObject("blue teddy bear", -0.25, -0.12, 0.17, 280),
            SceneObject("yellow cube", 0.20, 0.26, 0.11, 40),
            SceneObject("yellow cube", -0.02, -0.32, 0.09, 10),
            SceneObject("brown lego brick", 0.33, -0.25, 0.14, 60),
            SceneObject("white ring", -0.02, 0.00, 0.14),
            SceneObject("black soccer ball", -0.36, 0.18, 0.14),
            SceneObject("blue cylinder", 0.30, 0.06, 0.16),
            SceneObject("red mug", 0.05, 0.38, 0.12, 120),
            SceneObject("green cone", -0.18, -0.38, 0.14),
        ),
        clutter=((11, -0.40, -0.30, 0.10),),
        table=Surface((0.55, 0.60, 0.66), None),
        floor=DARK_FLOOR,
        light=_light(140, 55, 0.52),
        path=(
            View(95, 42, 1.25, 0.0, 0.0),
            View(118, 38, 0.40, 0.06, -0.36),
            View(150, 30, 0.75, -0.05, 0.10),
        ),
    ),
    # A low pass along the table: near objects hide far ones.
    SceneScript(
        objects=(
            SceneObject("red duck", -0.14, 0.20, 0.15, 240),
            SceneObject("white mug", 0.22, 0.10, 0.13, 330),
            SceneObject("orange cylinder", -0.02, -0.18, 0.175),
            SceneObject("green star", -0.28, 0.00, 0.15, 30),
            SceneObject("purple cone", 0.30, -0.14, 0.17),
            SceneObject("pink cube", 0.01, 0.05, 0.07, 15),
            SceneObject("yellow soccer ball", -0.24, 0.30, 0.14),
            SceneObject("red block", 0.15, 0.0, 0.15, 110),
            SceneObject("white duck", -0.36, -0.18, 0.13, 100),
            SceneObject("blue ball", 0.36, 0.28, 0.12),
        ),
        clutter=((27, 0.0, 0.40, 0.09),),
        table=Surface((0.60, 0.50, 0.42), 13),
        floor=TILED_FLOOR,
        light=_light(-60, 66, 0.55),
        path=(
            View(-112, 24, 0.85, -0.20, 0.0),
            View(-88, 18, 0.70, 0.0, 0.05),
            View(-60, 26, 0.80, 0.18, 0.05),
        ),
    ),
    # A retreat over the remaining objects.
    SceneScript(
        objects=(
            SceneObject("red duck", 0.10, 0.02, 0.15, 120),
            SceneObject("orange cylinder", -0.08, 0.22, 0.16),
            SceneObject("green star", 0.26, 0.22, 0.14, 50),
            SceneObject("green star", -0.30, -0.20, 0.12, 5),
            SceneObject("purple cone", -0.22, 0.02, 0.16),
            SceneObject("pink teddy bear", 0.24, -0.20, 0.17, 60),
            SceneObject("orange lego brick", -0.06, -0.10, 0.14, 130),
            SceneObject("green mug", 0.05, -0.30, 0.13, 190),
            SceneObject("brown ball", -0.38, 0.24, 0.13),
            SceneObject("red ring", 0.10, 0.38, 0.14),
            SceneObject("purple duck", 0.38, 0.02, 0.14, 160),
            SceneObject("white cube", -0.20, -0.36, 0.10, 35),
        ),
        clutter=(),
        table=Surface((0.90, 0.88, 0.84), 6),
        floor=DARK_FLOOR,
        light=_light(80, 58, 0.5),
        path=(
            View(20, 48, 0.62, 0.10, -0.10),
            View(-10, 26, 0.75, 0.0, 0.0),
            View(-60, 36, 1.15, 0.0, 0.0),
        ),
    ),
)
