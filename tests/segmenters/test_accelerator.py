# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The stand-in accelerator refuses and counts what a GPU would refuse and wait for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from families import write_small_clipseg
from inputs import blots, words
from PIL import Image
from torch import Tensor
from torch.nn import functional

from zs_seg_ros import LoadOptions, load_segmenter
from zs_seg_ros.errors import ModelError
from zs_seg_ros.segmenters.shared.image_tensors import prepare
from zs_seg_ros.testing.accelerator import Accelerator
from zs_seg_ros.testing.accelerator_calls import MixedDevicesError
from zs_seg_ros.types import Batch

ROW = torch.tensor([3.0, 1.0, 2.0])


def on_device(values: Tensor = ROW) -> Tensor:
    return values.to("cuda")


def test_values_are_computed_and_stay_on_the_device(accelerator: Accelerator) -> None:
    moved = on_device()
    doubled = (moved * 2 + torch.ones(3, device="cuda")).sort().values[1:]
    assert moved.device == doubled.device == torch.device("cuda", 0) and doubled.is_cuda
    assert accelerator.count("upload") == 1 and accelerator.transfers[0].size == 12
    assert accelerator.count("download") == accelerator.count("synchronisation") == 0
    assert doubled.cpu().numpy().tolist() == [5, 7]
    assert accelerator.count("download") == 1


def test_in_place_operations_change_the_tensor_and_not_its_source(
    accelerator: Accelerator,
) -> None:
    source = ROW.clone()
    moved = source.to("cuda")
    view = moved[1:]
    view.mul_(10)
    moved[0] = 7
    assert moved.cpu().tolist() == [7, 10, 20] and source.tolist() == [3, 1, 2]


def test_a_module_moves_and_multiplies_in_half_precision_under_autocast(
    accelerator: Accelerator,
) -> None:
    layer = torch.nn.Linear(3, 2).to("cuda")
    with torch.inference_mode(), torch.autocast("cuda", torch.bfloat16):
        result = layer(on_device()[None])
    assert result.dtype == torch.bfloat16 and result.is_cuda
    assert all(parameter.is_cuda for parameter in layer.parameters())


@pytest.mark.parametrize(
    "mixed",
    [
        lambda: on_device() + ROW,
        lambda: ROW * on_device(),
        lambda: torch.cat([on_device(), ROW]),
        lambda: functional.linear(on_device(), ROW[None]),
        lambda: on_device().index_select(0, torch.tensor([0, 1])),
        lambda: ROW[torch.tensor([0, 1], device="cuda")],
        lambda: on_device() + on_device().new_zeros(3, device="cpu"),
        lambda: on_device() * torch.ones_like(on_device(), device="cpu"),
    ],
    ids=[
        *("sum", "product", "list", "layer", "index_select", "CPU tensor by device index"),
        *("new_zeros of the CPU", "ones_like of the CPU"),
    ],
)
def test_tensors_of_two_devices_are_refused(
    accelerator: Accelerator, mixed: Callable[[], Tensor]
) -> None:
    with pytest.raises(MixedDevicesError, match="CPU"):
        mixed()


def test_a_number_of_the_cpu_may_meet_a_tensor_of_the_device(accelerator: Accelerator) -> None:
    assert (on_device() * torch.tensor(2.0)).cpu().tolist() == [6, 2, 4]


def test_numpy_cannot_read_the_device(accelerator: Accelerator) -> None:
    with pytest.raises(TypeError, match=r"use Tensor\.cpu\(\)"):
        on_device().numpy()
    with pytest.raises(TypeError, match=r"use Tensor\.cpu\(\)"):
        np.asarray(on_device())


@pytest.mark.parametrize(
    "wait",
    [
        lambda t: t[0].item(),
        lambda t: t.tolist(),
        lambda t: float(t[0]),
        lambda t: bool((t > 0).all()),
        lambda t: 1 if t[0] > 0 else 2,
        lambda t: range(t.long()[0]),
        lambda t: t.nonzero(),
        lambda t: torch.where(t > 1),
        lambda t: t[t > 1],
        lambda t: t.unique(),
        lambda t: torch.unique(t, return_inverse=True),
        lambda t: t.long().bincount(),
        lambda t: torch.masked_select(t, t > 1),
        lambda t: torch.repeat_interleave(t, t.long()),
        lambda t: torch.arange(0, t[0]),
        lambda t: t[: t.long()[1]],
        lambda t: torch.equal(t, t),
        lambda t: t[torch.tensor([0, 1])],
        lambda t: torch.cuda.synchronize(),
    ],
)
def test_what_waits_for_the_device_is_counted_once_with_its_line(
    accelerator: Accelerator, wait: Callable[[Tensor], Any]
) -> None:
    tensor = on_device()
    accelerator.reset()
    wait(tensor)
    assert accelerator.count("synchronisation") == 1
    assert "test_accelerator.py" in accelerator.lines() and "lambda t" in accelerator.lines()


@pytest.mark.parametrize(
    "free",
    [
        lambda t: t[1:],
        lambda t: torch.where(t > 1, t, 0),
        lambda t: t.masked_fill(t > 1, 0),
        lambda t: t[t.long().argsort()],
        lambda t: list(t),
        lambda t: t.new_zeros(2),
        lambda t: functional.pad(t, (1, 1)),
        lambda t: len(t) + t.shape[0],
    ],
)
def test_what_runs_on_the_device_alone_is_not_counted(
    accelerator: Accelerator, free: Callable[[Tensor], Any]
) -> None:
    tensor = on_device()
    accelerator.reset()
    free(tensor)
    assert accelerator.lines() == ""


@pytest.mark.parametrize(
    "upload",
    [
        lambda t: torch.tensor([1, 2], device="cuda"),
        lambda t: torch.from_numpy(np.zeros(3)).to(t.device, non_blocking=True),
        lambda t: ROW.pin_memory().cuda(),
        lambda t: t.new_tensor([1, 2]),
        lambda t: t.copy_(ROW),
        lambda t: ROW.to(t),
    ],
)
def test_uploads_are_counted(accelerator: Accelerator, upload: Callable[[Tensor], Any]) -> None:
    tensor = on_device()
    accelerator.reset()
    upload(tensor)
    assert accelerator.count("upload") == len(accelerator.transfers) == 1


class LoadedOnTheDevice:
    """A small CLIPSeg on the stand-in that has segmented an image."""

    def __init__(self, folder: Path) -> None:
        self.segmenter: Any = load_segmenter(
            write_small_clipseg(folder), LoadOptions("cuda", "fp32")
        )
        vocabulary = words("red mug", "old ball")
        self._encoded = self.segmenter.encode(vocabulary)
        self._batch = Batch((blots(),), vocabulary.thresholds(0.3))
        self.run()

    def run(self) -> None:
        self.segmenter.segment(self._batch, self._encoded)

    def decode_with(self, mistake: Callable[[Tensor], Any], patch: pytest.MonkeyPatch) -> None:
        real = self.segmenter.network.decode

        def decode(*args: Any) -> Tensor:
            logits: Tensor = real(*args)
            mistake(logits)
            return logits

        patch.setattr(self.segmenter.network, "decode", decode)


def test_a_tensor_that_a_model_left_on_the_cpu_is_detected(
    accelerator: Accelerator, tmp_path: Path
) -> None:
    loaded = LoadedOnTheDevice(tmp_path)
    loaded.segmenter._mean = loaded.segmenter._mean.cpu()
    with pytest.raises((MixedDevicesError, ModelError), match=r"cuda:0.*on the CPU"):
        loaded.run()


@pytest.mark.parametrize(
    ("mistake", "kind"),
    [
        (lambda logits: logits.cpu(), "download"),
        (lambda logits: logits.max().item(), "synchronisation"),
        (lambda logits: logits[logits > 0], "synchronisation"),
        (lambda logits: logits.new_tensor([0.5]), "upload"),
    ],
    ids=["hidden download", "item", "boolean index", "constant"],
)
def test_a_transfer_hidden_in_a_model_is_counted_with_its_line(
    accelerator: Accelerator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mistake: Callable[[Tensor], Any],
    kind: str,
) -> None:
    loaded = LoadedOnTheDevice(tmp_path)
    accelerator.reset()
    loaded.run()
    before = accelerator.count(kind)
    loaded.decode_with(mistake, monkeypatch)
    accelerator.reset()
    loaded.run()
    assert accelerator.count(kind) == before + 1
    assert f"1 x {kind}: test_accelerator.py" in accelerator.lines()


@pytest.mark.parametrize("size", [(352, 352), (60, 80), (13, 300), (1, 1), (240, 320)])
@pytest.mark.parametrize("resample", ["bilinear", "bicubic"])
def test_images_are_resized_on_the_device_as_by_pillow_within_one_grey_level(
    accelerator: Accelerator, size: tuple[int, int], resample: Any
) -> None:
    """The CPU's own integer arithmetic may differ from Pillow's by one more, at few pixels."""
    image = blots(240, 320)
    image[60:180, 80:240] = np.random.default_rng(0).integers(0, 256, (120, 160, 3))
    zeros, ones = torch.zeros(3), torch.ones(3)
    on_cpu = prepare([image], size, zeros, ones, resample=resample)[0] * 255
    result = prepare([image], size, zeros.cuda(), ones.cuda(), resample=resample)[0] * 255
    values = result.cpu()
    number = Image.Resampling[resample.upper()]
    pillow = np.asarray(Image.fromarray(image).resize(size[::-1], number), np.float32)
    assert (values - values.round()).abs().max() < 1e-3
    assert np.abs(values.permute(1, 2, 0).numpy() - pillow).max() < 1.001
    assert (values - on_cpu).abs().max() < 2.001 and (values - on_cpu).abs().mean() < 0.02
