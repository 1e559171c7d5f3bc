# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The C files, compiled by each compiler that is installed, with and without the versions for AVX2 and AVX-512."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from zs_seg_ros.kernels import Kernels
from zs_seg_ros.segmenters.shared.compiled_resizing import resized_and_normalised

ROOT = Path(__file__).parents[2]
OPTIONS = ("-std=gnu11", "-O3", "-ffp-contract=off", "-fno-trapping-math", "-fPIC", "-shared")
"""As in CMakeLists.txt."""


def built(compiler: str, library: Path, *more: str) -> Kernels:
    """Compile the C files with warnings as errors, and load them."""
    files = sorted((ROOT / "src").glob("*.c"))
    command = [compiler, *OPTIONS, "-Wall", "-Wextra", "-Werror", *more, "-I", ROOT, "-o", library]
    subprocess.run([*command, *files], check=True)
    return Kernels(library)


def everything(kernels: Kernels, seed: int) -> list[np.ndarray]:
    """Return what the functions compute from pseudo-random images, logits, label images and places."""
    random = np.random.default_rng(seed)
    size, small = tuple(random.integers(20, 120, 2)), tuple(random.integers(2, 40, 2))
    dtype = np.dtype(np.uint16 if seed % 2 else np.uint8)
    logits = random.normal(0, 3, (5, *small)).astype(np.float32)
    logits[0, 0, 0] = (0, np.nan, -np.inf)[seed % 3]
    limits, ids = random.normal(0, 1, 5).tolist(), (3, 250, 7, 9, 1)
    label, best = kernels.argmax(logits, limits, size, ids, dtype)
    confidence = kernels.confidence(best, label)
    both = kernels.label_and_confidence(logits, limits, size, ids, dtype)
    components, runs = kernels.components(label, confidence)
    masks = kernels.masks(components, runs, np.arange(0, len(components), 2))
    lengths = kernels.run_lengths(masks) if masks else []
    x, y = (random.uniform(-3, side + 3, size).astype(np.float32) for side in size[::-1])
    trust = random.integers(0, 256, size).astype(np.uint8)
    carried = kernels.warp(label, confidence, (x, y, trust), 0.7 / 255)
    depths = tuple(random.uniform(0.4, 0.6, size).astype(np.float32) for _ in range(2))
    rays = tuple(random.uniform(-1, 1, side).astype(np.float32) for side in size[::-1])
    turn = np.diag([size[1], size[0], 1.0]) + random.normal(0, 0.01, (3, 3))
    projection = turn.astype(np.float32), np.array([size[1], size[0], 0.0], np.float32) / 4
    moved = kernels.reproject(depths, rays, projection, (x, y, trust), (0.1, 0.25))
    image = random.integers(0, 256, (3, *size), np.uint8)
    normalised = kernels.normalised(image, random.random(3), random.random(3) + 0.1)
    pixels, new_size = image.transpose(1, 2, 0).copy(), tuple(random.integers(1, 150, 2))
    constants = np.zeros(3, np.float32), np.ones(3, np.float32)
    resized = resized_and_normalised(kernels, pixels, new_size, *constants, "bicubic")
    others = [] if resized is None else [resized]  # torch resizes where there is no AVX2
    images = [normalised, *others, label, best, confidence, *both, *carried]
    return [*images, components, runs, *masks, *lengths, *moved]


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_results_are_those_of_the_plain_version_to_the_bit(compiler: str, tmp_path: Path) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    kernels = built(compiler, tmp_path / "for_each_processor.so")
    plain = built(compiler, tmp_path / "plain.so", "-DFOR_EACH_PROCESSOR=")
    for seed in range(12):
        pairs = zip(everything(kernels, seed), everything(plain, seed), strict=True)
        assert all(one.tobytes() == other.tobytes() for one, other in pairs)
