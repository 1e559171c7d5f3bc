# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Renders the shipped recording's scenes with other motion: `python -m training.variations --output FOLDER [NAME ...]`.

Each variation is a file NAME.npz for `benchmarks/propagation.py`: image (N, H, W, 3) uint8; depth (N, H, W) uint16 in
millimetres, 0 without a measurement; label and instance (N, H, W) uint8; stamp_ns (N,) int64; rotation (N, 3, 3) and
translation_m (N, 3), the pose of the optical frame in the world; matrix (3, 3), the camera's K. The same code gives
the same files.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from training.record import SEED, START_NS, GroundTruth
from training.recorded_scenes import SCENES, VERTICAL_FOV_DEG
from training.recording_messages import depth_in_millimetres
from training.scene import Camera, Renderer, Scene

PATH_S = 6.0
"""The time in which the shipped recording's camera passes a scene."""


@dataclass(frozen=True)
class Variation:
    """One way to film the scenes `scenes`, each for `seconds`, in images of `size` (H, W).

    speed: how many times as fast as in the recording the camera moves along its path, back and forth. roll_deg: how
    far the camera rolls to either side, within 2 s. sway_m: how far the point that it views moves to either side,
    within 1.5 s. moving: how many objects move, each on a circle of its own with a radius of `radius_m`, within 4 s.
    """

    rate_hz: float
    size: tuple[int, int] = (240, 320)
    scenes: tuple[int, ...] = (0, 2)
    seconds: float = 6.0
    speed: float = 1.0
    roll_deg: float = 0.0
    sway_m: float = 0.0
    moving: int = 0
    radius_m: float = 0.12

    def camera(self, scene: int, time_s: float) -> Camera:
        """Return the camera at a time since the scene began."""
        progress = time_s * self.speed / PATH_S
        there_and_back = 1 - abs(1 - progress % 2)
        view = SCENES[scene].view(there_and_back)
        sway = self.sway_m * np.sin(2 * np.pi * time_s / 1.5)
        azimuth = np.radians(view.azimuth_deg)
        x, y, z = view.target_m
        target = (float(x - sway * np.sin(azimuth)), float(y + sway * np.cos(azimuth)), z)
        roll = self.roll_deg * np.sin(2 * np.pi * time_s / 2)
        return Camera(view.eye_m, target, VERTICAL_FOV_DEG, float(roll))

    def place(self, renderer: Renderer, scene: Scene, time_s: float) -> None:
        """Move the objects that move to their positions at a time since the scene began."""
        for index in range(self.moving):
            x, y, z = scene.objects[index].position_m
            angle = 2 * np.pi * (time_s / 4 + index / max(1, self.moving))
            start = 2 * np.pi * index / max(1, self.moving)
            dx, dy = np.cos(angle) - np.cos(start), np.sin(angle) - np.sin(start)
            position = float(x + self.radius_m * dx), float(y + self.radius_m * dy), z
            renderer.move(index, position)


VARIATIONS = {
    "hz5": Variation(5),
    "hz30": Variation(30),
    "fast": Variation(30, speed=3.0),
    "fast_hz10": Variation(10, speed=3.0),
    "rotation": Variation(30, roll_deg=40.0, sway_m=0.25),
    "moving_objects": Variation(15, moving=5, speed=0.5),
    "moving_objects_only": Variation(15, moving=5, speed=0.0),
    "vga": Variation(30, size=(480, 640), scenes=(1,), seconds=4.0),
    "hd": Variation(15, size=(720, 1280), scenes=(3,), seconds=5.0, moving=3),
}


def pose(camera: Camera) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return rotation (3, 3) and translation (3,) of the optical frame (x right, y down, z forward) in the world."""
    forward = np.subtract(camera.target_m, camera.eye_m)
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0, 0, 1])
    right /= np.linalg.norm(right)
    up = np.cross(right, forward)
    roll = np.radians(camera.roll_deg)
    rolled_up = np.cos(roll) * up + np.sin(roll) * right
    rolled_right = np.cross(forward, rolled_up)
    return np.column_stack((rolled_right, -rolled_up, forward)), np.array(camera.eye_m)


def matrix(size: tuple[int, int]) -> NDArray[np.float64]:
    """Return K (3, 3); see `training.recording_messages.camera_matrix`."""
    height, width = size
    focal_px = height / 2 / np.tan(np.radians(VERTICAL_FOV_DEG) / 2)
    return np.array([[focal_px, 0, width / 2], [0, focal_px, height / 2 - 1], [0, 0, 1.0]])


def render(variation: Variation) -> dict[str, NDArray[Any]]:
    """Return the arrays of a variation, by their names in its file."""
    truth, renderer = GroundTruth.of(SCENES), Renderer()
    frames: dict[str, list[Any]] = {
        name: []
        for name in (
            *("image", "depth", "label", "instance"),
            *("stamp_ns", "rotation", "translation_m"),
        )
    }
    count = round(variation.seconds * variation.rate_hz)
    for scene_number in variation.scenes:
        scene = SCENES[scene_number].scene(SEED + scene_number)
        renderer.load(scene)
        for number in tqdm(range(count), f"scene {scene_number}", unit="frame"):
            time_s = number / variation.rate_hz
            camera = variation.camera(scene_number, time_s)
            variation.place(renderer, scene, time_s)
            rendering = renderer.render(camera, variation.size)
            label, instance = truth.images(scene_number, rendering)
            rotation, translation = pose(camera)
            stamp_ns = START_NS + round(len(frames["image"]) * 1e9 / variation.rate_hz)
            for name, value in (
                ("image", rendering.rgb),
                ("depth", depth_in_millimetres(rendering.depth_m)),
                *(("label", label), ("instance", instance), ("stamp_ns", stamp_ns)),
                *(("rotation", rotation), ("translation_m", translation)),
            ):
                frames[name].append(value)
    renderer.close()
    arrays = {name: np.array(values) for name, values in frames.items()}
    return arrays | {"matrix": matrix(variation.size)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True, help="a folder for the files")
    parser.add_argument("names", nargs="*", default=list(VARIATIONS), help="all if none is given")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    for name in options.names:
        path = options.output / f"{name}.npz"
        np.savez(path, **render(VARIATIONS[name]))
        print(f"wrote {path}: {path.stat().st_size / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
