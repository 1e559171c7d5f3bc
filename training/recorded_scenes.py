"""What the shipped recording shows: four tables of things, and the path of the camera over each.

Written out by hand, so that the things worth testing occur for certain: every held-out pair, two things of
one name, distractors in the same colour or of the same kind, things that leave the image and come back,
and things that another one hides for about a second.
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
class Thing:
    """A thing on the table, upright: where its middle is, how large, and turned by how much about z."""

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
    """A camera that looks at a point just above the table, level with the horizon.

    azimuth_deg: where it stands, seen from the point, about z from x. elevation_deg: above the table.
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
    """Things on a table, clutter as (number of the shape, x, y, size), and the camera's path.

    The path is the quadratic Bézier curve of three views: it starts at the first, ends at the last and is
    drawn towards the middle one.
    """

    things: tuple[Thing, ...]
    clutter: tuple[tuple[int, float, float, float], ...]
    table: Surface
    floor: Surface
    light: Light
    path: tuple[View, View, View]

    def view(self, progress: float) -> View:
        """Where the camera is; progress runs from 0 to 1."""
        weights = ((1 - progress) ** 2, 2 * progress * (1 - progress), progress**2)
        points = np.array(
            [(v.azimuth_deg, v.elevation_deg, v.distance_m, v.x_m, v.y_m) for v in self.path]
        )
        return View(*(float(value) for value in np.array(weights) @ points))

    def scene(self, seed: int) -> Scene:
        """The scene to render: objects[i] is things[i], the clutter follows. The seed picks the shades."""
        rng = np.random.default_rng(seed)
        meshes = build_bodies()
        placements = [_place(thing, meshes, rng) for thing in self.things]
        for shape, x, y, size in self.clutter:
            grey = float(rng.uniform(0.35, 0.65))
            placements.append(
                Placement(
                    None, f"clutter {shape}", size, (x, y, 0.0), (0, 0, 0, 1), (grey, grey, grey)
                )
            )
        return Scene(tuple(placements), self.table, self.floor, self.light)


def _place(thing: Thing, meshes: dict[str, Mesh], rng: np.random.Generator) -> Placement:
    colour, kind = thing.pair
    x, y, z, w = pybullet.getQuaternionFromEuler([0, 0, np.radians(thing.yaw_deg)])
    lowest_m = rotate(meshes[kind].vertices, (x, y, z, w))[:, 2].min() * thing.size_m
    position = (thing.x_m, thing.y_m, -float(lowest_m))
    shade = random_colour(colour, rng)
    return Placement(thing.pair, kind, thing.size_m, position, (x, y, z, w), shade)


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
        things=(
            Thing("red duck", 0.05, -0.05, 0.15, 200),
            Thing("white mug", -0.22, 0.12, 0.13, 40),
            Thing("blue teddy bear", 0.24, 0.20, 0.17, 150),
            Thing("yellow cube", -0.12, -0.26, 0.10, 25),
            Thing("green ball", 0.30, -0.12, 0.12),
            Thing("purple block", 0.02, 0.27, 0.16, 70),
            Thing("black star", -0.35, -0.12, 0.14, 10),
            Thing("yellow cone", 0.17, -0.33, 0.15),
            Thing("yellow duck", -0.06, 0.10, 0.12, 300),
            Thing("green cylinder", -0.38, 0.28, 0.15),
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
    # An approach that lets things leave the image on both sides.
    SceneScript(
        things=(
            Thing("red duck", -0.10, 0.18, 0.14, 20),
            Thing("white mug", 0.12, -0.08, 0.13, 250),
            Thing("blue teddy bear", -0.25, -0.12, 0.17, 280),
            Thing("yellow cube", 0.20, 0.26, 0.11, 40),
            Thing("yellow cube", -0.02, -0.32, 0.09, 10),
            Thing("brown lego brick", 0.33, -0.25, 0.14, 60),
            Thing("white ring", -0.02, 0.00, 0.14),
            Thing("black soccer ball", -0.36, 0.18, 0.14),
            Thing("blue cylinder", 0.30, 0.06, 0.16),
            Thing("red mug", 0.05, 0.38, 0.12, 120),
            Thing("green cone", -0.18, -0.38, 0.14),
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
    # A low pass along the table: near things hide far ones.
    SceneScript(
        things=(
            Thing("red duck", -0.14, 0.20, 0.15, 240),
            Thing("white mug", 0.22, 0.10, 0.13, 330),
            Thing("orange cylinder", -0.02, -0.18, 0.175),
            Thing("green star", -0.28, 0.00, 0.15, 30),
            Thing("purple cone", 0.30, -0.14, 0.17),
            Thing("pink cube", 0.01, 0.05, 0.07, 15),
            Thing("yellow soccer ball", -0.24, 0.30, 0.14),
            Thing("red block", 0.15, 0.0, 0.15, 110),
            Thing("white duck", -0.36, -0.18, 0.13, 100),
            Thing("blue ball", 0.36, 0.28, 0.12),
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
    # Back and away, over the things that are left.
    SceneScript(
        things=(
            Thing("red duck", 0.10, 0.02, 0.15, 120),
            Thing("orange cylinder", -0.08, 0.22, 0.16),
            Thing("green star", 0.26, 0.22, 0.14, 50),
            Thing("green star", -0.30, -0.20, 0.12, 5),
            Thing("purple cone", -0.22, 0.02, 0.16),
            Thing("pink teddy bear", 0.24, -0.20, 0.17, 60),
            Thing("orange lego brick", -0.06, -0.10, 0.14, 130),
            Thing("green mug", 0.05, -0.30, 0.13, 190),
            Thing("brown ball", -0.38, 0.24, 0.13),
            Thing("red ring", 0.10, 0.38, 0.14),
            Thing("purple duck", 0.38, 0.02, 0.14, 160),
            Thing("white cube", -0.20, -0.36, 0.10, 35),
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
