# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""A replay test of the package itself: the shipped recording, the built-in model, and its golden file."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from replay_processes import make_golden, replay
from safetensors.numpy import load_file, save_file

from zs_seg_ros.replay.golden import Golden

ROOT = Path(__file__).resolve().parents[2]
RECORDING = ROOT / "recordings" / "tabletop"
GOLDEN = RECORDING / "tabletop.golden"
CPU = ("--device", "cpu")


def test_the_built_in_model_gives_the_golden_results(tmp_path: Path) -> None:
    run = replay(RECORDING, "--golden", GOLDEN, *CPU, "--html", tmp_path / "report.html")
    assert run.returncode == 0, run.stdout + run.stderr
    assert "SAME: 60 frames in lockstep" in run.stdout


def test_three_runs_are_identical_to_the_byte(tmp_path: Path) -> None:
    arguments = (
        "--model",
        "tabletop",
        "--classes",
        "red duck",
        "green star",
        "--every",
        "16",
        *CPU,
    )
    files = [
        make_golden(RECORDING, tmp_path / f"{number}.golden", *arguments) for number in range(3)
    ]
    assert len({file.read_bytes() for file in files}) == 1
    with Golden(files[0]) as golden:
        assert (golden.settings.engine, golden.settings.precision) == ("torch", "fp32")


def test_weights_with_slight_noise_are_detected(tmp_path: Path) -> None:
    worse = tmp_path / "worse"
    shutil.copytree(ROOT / "models" / "tabletop", worse)
    weights = load_file(worse / "model.safetensors")
    generator = np.random.default_rng(1)
    noisy = {
        name: np.asarray(w + 0.05 * w.std() * generator.standard_normal(w.shape), w.dtype)
        for name, w in weights.items()
        if not name.endswith("running_var")  # a variance below 0 gives no numbers at all
    }
    save_file(weights | noisy, worse / "model.safetensors")
    run = replay(RECORDING, "--golden", GOLDEN, *CPU, "--model", worse)
    assert run.returncode == 1, run.stdout + run.stderr
    assert f"Note: model was tabletop and is {worse}." in run.stdout


def test_a_wrong_threshold_is_detected() -> None:
    run = replay(RECORDING, "--golden", GOLDEN, *CPU, "-p", "default_threshold:=0.6")
    assert run.returncode == 1, run.stdout + run.stderr
    assert "DIFFERENT" in run.stdout
