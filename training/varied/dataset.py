# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Renders varied training images to shards like those of `training.dataset`, with the faults of cameras."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from training.dataset import IMAGES_PER_SHARD, VIEWS_PER_SCENE, pair_image_of
from training.scene import HEIGHT, WIDTH
from training.varied.renderer import VariedRenderer
from training.varied.scenes import Library, VariedSampler
from zs_seg_ros.files import NewFile, any_file

Rng = np.random.Generator


def photographed(rgb: NDArray[np.uint8], rng: Rng) -> NDArray[np.uint8]:
    """Give a rendering the size (240, 320) and the faults of a camera: blur, sharpening, JPEG, or none."""
    image = cv2.resize(rgb, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    if rng.random() < 0.2:
        image = _motion_blur(image, int(rng.integers(2, 8)), float(rng.uniform(0, 180)))
    elif rng.random() < 0.15:
        image = cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.4, 1.3)))
    elif rng.random() < 0.2:
        soft = cv2.GaussianBlur(image, (0, 0), 1.0)
        image = cv2.addWeighted(image, 1.6, soft, -0.6, 0)
    if rng.random() < 0.25:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 92))]
        image = cv2.imdecode(cv2.imencode(".jpg", image[..., ::-1], quality)[1], 1)[..., ::-1]
    return np.ascontiguousarray(image, np.uint8)


def _motion_blur(image: NDArray[np.uint8], length: int, degrees: float) -> NDArray[np.uint8]:
    kernel = np.zeros((9, 9), np.float32)
    dx, dy = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    for t in np.linspace(-length / 2, length / 2, 4 * length):
        kernel[round(4 + t * dy), round(4 + t * dx)] += 1
    return np.asarray(cv2.filter2D(image, -1, kernel / kernel.sum()), np.uint8)


def render_varied_shard(job: tuple[Path, int]) -> Path:
    """Render shard number `job[1]` into folder `job[0]`; its number is its seed."""
    folder, number = job
    path = folder / f"varied_{number:04d}.npz"
    if path.exists():
        return path
    rng = np.random.default_rng([8, number])
    library = Library.drawn(rng)
    sharp = number % 3 == 2  # without antialiasing, as simple renderers and sensors show edges
    size = (HEIGHT, WIDTH) if sharp else (3 * HEIGHT // 2, 3 * WIDTH // 2)
    renderer = VariedRenderer(library.bodies, size)
    sampler = VariedSampler(library)
    images, pair_images = [], []
    while len(images) < IMAGES_PER_SHARD:
        scene, pairs = sampler.scene(rng)
        for _ in range(VIEWS_PER_SCENE):
            rgb, numbers = renderer.render(scene, *sampler.camera(rng))
            images.append(photographed(rgb, rng))
            small = cv2.resize(numbers, (WIDTH, HEIGHT), interpolation=cv2.INTER_NEAREST)
            pair_images.append(pair_image_of(pairs, np.asarray(small, np.uint8)))
    renderer.close()
    with NewFile(path, any_file) as new:
        np.savez(new.stream, rgb=np.stack(images), pair=np.stack(pair_images))
        new.finish()
    return path
