# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Renders training images to a folder, in parallel, and resumes an interrupted run.

A shard is one .npz with `rgb` (N, H, W, 3) uint8 and `pair` (N, H, W) uint8: 0 for background, 1 + index into
`ALL_PAIRS`, or IGNORE where too little of an object is visible to name it.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from training.names import ALL_PAIRS, IGNORE, Pair
from training.scene import Renderer, Rendering, Scene, SceneSampler
from zs_seg_ros.files import NewFile, any_file

MIN_VISIBLE_SIDE_PX = 12
IMAGES_PER_SHARD = 200
VIEWS_PER_SCENE = 2


def pair_image(scene: Scene, rendering: Rendering) -> NDArray[np.uint8]:
    """Return (H, W) uint8: the pair of each pixel; objects under 12 pixels long become IGNORE."""
    return pair_image_of([placement.pair for placement in scene.objects], rendering.instance)


def pair_image_of(pairs: Sequence[Pair | None], instance: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return (H, W) uint8: the pair of each pixel, `pairs[i]` for instance i + 1; short objects become IGNORE."""
    lookup = np.zeros(len(pairs) + 1, np.uint8)
    for index, pair in enumerate(pairs):
        if pair is None:
            continue
        rows, columns = np.nonzero(instance == index + 1)
        if rows.size == 0:
            continue
        longer_side = max(np.ptp(rows), np.ptp(columns)) + 1
        visible = longer_side >= MIN_VISIBLE_SIDE_PX
        lookup[index + 1] = 1 + ALL_PAIRS.index(pair) if visible else IGNORE
    return lookup[instance]


def render_shard(job: tuple[Path, int]) -> Path:
    """Render shard number `job[1]` into folder `job[0]`; its number is its seed."""
    folder, number = job
    path = folder / f"shard_{number:04d}.npz"
    if path.exists():
        return path
    sampler, renderer = SceneSampler(), Renderer()
    rng = np.random.default_rng([7, number])
    images, pairs = [], []
    while len(images) < IMAGES_PER_SHARD:
        scene = sampler.scene(rng)
        renderer.load(scene)
        for _ in range(VIEWS_PER_SCENE):
            rendering = renderer.render(sampler.camera(rng))
            images.append(rendering.rgb)
            pairs.append(pair_image(scene, rendering))
    renderer.close()
    with NewFile(path, any_file) as new:
        np.savez(new.stream, rgb=np.stack(images), pair=np.stack(pairs))
        new.finish()
    return path


def render_dataset(
    folder: Path, render: Callable[[tuple[Path, int]], Path], images: int, processes: int
) -> list[Path]:
    """Render `images` images (rounded up to whole shards) of pairs that training may see, with `render` by shard."""
    folder.mkdir(parents=True, exist_ok=True)
    jobs = [(folder, number) for number in range(-(-images // IMAGES_PER_SHARD))]
    context = multiprocessing.get_context("spawn")
    with context.Pool(processes) as pool:
        return list(tqdm(pool.imap(render, jobs), total=len(jobs), desc="rendering", unit="shard"))
