# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Renders scenes with objects of a shape that `tabletop` does not know, for the test of example images.

    python -m training.exemplar_scenes --output tests/segmenters/exemplar_scenes

The first image shows the example, the next ones the object among known objects, and the last ones known objects alone.
The mask of the object is the alpha channel of its PNG: 255 on the object. A colour after an object's name, as in
`girder:white`, replaces its own, and is in the names of its files, too.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.meshes import Mesh, box, joined, prism
from training.scene import (
    COLOUR_RANGES,
    Placement,
    Renderer,
    Rendering,
    Scene,
    SceneSampler,
    random_colour,
    rotate,
)

SIZE_M = 0.16
LEAST_SHARE = 0.01
"""Of the image, that the object takes: views with less are drawn again."""


def arrow() -> Mesh:
    """Return a flat arrow."""
    corners = [(0.5, 0), (0.05, 0.4), (0.05, 0.15), (-0.5, 0.15)]
    mirrored = [(x, -y) for x, y in reversed(corners[1:])]
    return prism(np.array(corners + mirrored), 0.25).normalised()


def bracket() -> Mesh:
    """Return a bracket: a plate with an upright one at its end."""
    return joined(box(1, 0.5, 0.12), box(0.12, 0.5, 0.9).moved(-0.44, 0, 0)).normalised()


def tee() -> Mesh:
    """Return a bar on a post."""
    return joined(box(1, 0.25, 0.25), box(0.25, 0.25, 0.8).moved(0, 0, -0.45)).normalised()


def girder() -> Mesh:
    """Return two plates with a third one between them."""
    flanges = (box(1, 0.2, 0.8).moved(0, side, 0) for side in (0.35, -0.35))
    return joined(*flanges, box(1, 0.6, 0.2)).normalised()


def angle() -> Mesh:
    """Return a flat angle."""
    corners = [(-0.5, -0.5), (0.5, -0.5), (0.5, -0.2), (-0.2, -0.2), (-0.2, 0.5), (-0.5, 0.5)]
    return prism(np.array(corners), 0.3).normalised()


def house() -> Mesh:
    """Return a flat house with a roof."""
    corners = [(-0.4, -0.5), (0.4, -0.5), (0.4, 0.1), (0, 0.5), (-0.4, 0.1)]
    return prism(np.array(corners), 0.5).normalised()


def cross() -> Mesh:
    """Return two bars that cross."""
    return joined(box(1, 0.3, 0.3), box(0.3, 1, 0.3)).normalised()


def stairs() -> Mesh:
    """Return three steps."""
    steps = (
        box(1 - side, 0.6, 0.2).moved(side / 2, 0, side * 0.6 - 0.3) for side in (0, 1 / 3, 2 / 3)
    )
    return joined(*steps).normalised()


def fork() -> Mesh:
    """Return a flat fork with two prongs."""
    prongs = (box(0.7, 0.2, 0.25).moved(0.15, side, 0) for side in (0.35, -0.35))
    return joined(box(0.3, 0.9, 0.25).moved(-0.35, 0, 0), *prongs).normalised()


OBJECTS = {
    "arrow": (arrow, "red"),
    "bracket": (bracket, "blue"),
    "tee": (tee, "pink"),
    "girder": (girder, "white"),
    "angle": (angle, "yellow"),
    "house": (house, "red"),
    "cross": (cross, "green"),
    "stairs": (stairs, "orange"),
    "fork": (fork, "purple"),
}
"""Name: mesh and colour. The test has the first two."""


def _with_object(
    scene: Scene, name: str, colour: str, mesh: Mesh, rng: np.random.Generator
) -> Scene:
    """Replace the first object of a scene by one of this mesh."""
    first, yaw = scene.objects[0], rng.uniform(0, 2 * np.pi)
    turn = (0.0, 0.0, float(np.sin(yaw / 2)), float(np.cos(yaw / 2)))
    lowest = float(rotate(mesh.vertices, turn)[:, 2].min()) * SIZE_M
    placed = Placement(
        pair=(colour, name),
        mesh=name,
        size_m=SIZE_M,
        position_m=(first.position_m[0], first.position_m[1], -lowest),
        quaternion=turn,
        colour=random_colour(colour, rng),
    )
    return replace(scene, objects=(placed, *scene.objects[1:]))


def _view(
    renderer: Renderer, sampler: SceneSampler, rng: np.random.Generator, present: bool
) -> Rendering:
    while True:
        rendering = renderer.render(sampler.camera(rng))
        if not present or (rendering.instance == 1).mean() > LEAST_SHARE:
            return rendering


def render(
    name: str, seed: int, shown: int, absent: int, colour: str = ""
) -> list[NDArray[np.uint8]]:
    """Render images (H, W, 4): 1 + `shown` with the object, and `absent` without it. colour: '' for its own."""
    renderer, sampler, rng = Renderer(), SceneSampler(), np.random.default_rng(seed)
    mesh = OBJECTS[name][0]()
    mesh.write(renderer.folder / f"{name}.obj")
    images = []
    for number in range(1 + shown + absent):
        present, scene = number <= shown, sampler.scene(rng)
        chosen = colour or OBJECTS[name][1]
        renderer.load(_with_object(scene, name, chosen, mesh, rng) if present else scene)
        rendering = _view(renderer, sampler, rng, present)
        mask = (rendering.instance == 1) & present
        images.append(np.dstack([rendering.rgb, np.where(mask, 255, 0).astype(np.uint8)]))
    renderer.close()
    return images


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--output", type=Path, required=True)
    names = [*OBJECTS, *(f"{name}:{colour}" for name in OBJECTS for colour in COLOUR_RANGES)]
    parser.add_argument(
        "--objects",
        nargs="+",
        choices=names,
        metavar="NAME[:COLOUR]",
        default=["arrow", "bracket"],
    )
    parser.add_argument("--seed", type=int, default=2027)
    parser.add_argument("--shown", type=int, default=5)
    parser.add_argument("--absent", type=int, default=5)
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    for chosen in arguments.objects:
        name, _, colour = chosen.partition(":")
        images = render(name, arguments.seed, arguments.shown, arguments.absent, colour)
        stem = chosen.replace(":", "_")
        for number, image in enumerate(images):
            Image.fromarray(image, "RGBA").save(arguments.output / f"{stem}_{number:02d}.png")


if __name__ == "__main__":
    main()
