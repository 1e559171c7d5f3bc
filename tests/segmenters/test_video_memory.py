# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.


"""The video memories of SAM 2, EdgeTAM and SAM 3's tracker: equal to transformers' session, and of bounded size."""

from __future__ import annotations

import itertools
import json
import math
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from inputs import blots, noise, words
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch.nn import functional
from transformers import Sam2VideoConfig
from video_checkpoints import KINDS, write_video_model
from video_models import followed, load_network, reference

from zs_seg_ros.segmenters.instance_labels import cut_out, mask_iou
from zs_seg_ros.segmenters.kept_images import keeping_images
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.registry import load_segmenter
from zs_seg_ros.segmenters.shared.network_prompter import NetworkPrompter
from zs_seg_ros.segmenters.video_memory import video_follower_of
from zs_seg_ros.testing.accelerator import Accelerator
from zs_seg_ros.testing.owlv2 import small_owlv2_config, write_owlv2
from zs_seg_ros.testing.sam2 import (
    shift_object_score,
    small_sam2_config,
    small_sam2_video_config,
    write_sam2,
)
from zs_seg_ros.types import Batch

CPU = LoadOptions(device="cpu")


def whole_segmenter(kind: str, folder: Path, scratch: Path) -> NetworkPrompter:
    """Load SAM 3, or OWLv2 with the mask model in `folder`."""
    if kind == "sam3":
        segmenter = load_segmenter(str(folder), CPU)
    else:
        write_owlv2(scratch / "owlv2", small_owlv2_config(), words=("red", "blue"), seed=1)
        segmenter = load_segmenter(f"{scratch / 'owlv2'} + {folder}", CPU)
    assert isinstance(segmenter, NetworkPrompter)
    return segmenter


def rectangle(size: tuple[int, int]) -> NDArray[np.bool_]:
    """Mark the middle of an image of `size` (H, W)."""
    mask = np.zeros(size, np.bool_)
    mask[size[0] // 4 : size[0] // 2, size[1] // 4 : size[1] // 2 + 1] = True
    return mask


def moving(size: tuple[int, int], count: int, seed: int) -> list[NDArray[np.uint8]]:
    """Make images of squares that move to the right, with noise in some of them."""
    wide = blots(size[0], size[1] + 4 * count, seed)
    images = [np.ascontiguousarray(wide[:, 4 * i : 4 * i + size[1]]) for i in range(count)]
    return [noise(*size, seed + i) if i % 5 == 3 else image for i, image in enumerate(images)]


@pytest.fixture(scope="module", params=KINDS)
def written(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path]:
    folder = tmp_path_factory.mktemp(request.param)
    write_video_model(request.param, folder)
    return request.param, folder


@pytest.fixture
def model(written: tuple[str, Path], tmp_path: Path) -> tuple[str, Path]:
    """A checkpoint of a test's own."""
    kind, folder = written
    shutil.copytree(folder, tmp_path / kind)
    return kind, tmp_path / kind


def find_it_in_half(
    kind: str, folder: Path, images: Sequence[NDArray[np.uint8]], mask: NDArray[np.bool_]
) -> None:
    """Shift the object score, so that the object is found in some of these images and missed in others."""
    _, scores, _ = followed(load_network(kind, folder, CPU), images, mask)
    middle = sorted(scores)[len(scores) // 2 - 1 : len(scores) // 2 + 1]
    shift_object_score(folder, -sum(middle) / 2)  # between two scores, since rounding decides at 0


@pytest.mark.parametrize("size", [(48, 64), (37, 90), (150, 101)], ids=str)
def test_masks_and_scores_equal_those_of_transformers_session(
    model: tuple[str, Path], size: tuple[int, int]
) -> None:
    """Over more images than the memory has places for features (6) and for pointers (15)."""
    kind, folder = model
    images, mask = moving(size, 22, seed=size[0]), rectangle(size)
    find_it_in_half(kind, folder, images, mask)
    masks, scores, _ = followed(load_network(kind, folder, CPU), images, mask)
    expected_masks, expected_scores = reference(kind, folder, images, mask)
    assert {score > 0 for score in expected_scores} == {True, False}
    np.testing.assert_allclose(scores, expected_scores, atol=1e-4)
    for logits, expected in zip(masks, expected_masks, strict=True):
        torch.testing.assert_close(logits, expected, rtol=0, atol=1e-4)
    spread = torch.stack(masks)[[score > 0 for score in scores]]
    assert spread.std(dim=0).mean() > 0.05, "all images have nearly the same mask"


def test_the_memory_is_flat(model: tuple[str, Path]) -> None:
    """Its size stays what it is once it has all images that the model reads, and its tensors are its own."""
    kind, folder = model
    network, mask = load_network(kind, folder, CPU), rectangle((48, 64))
    images = moving((48, 64), 5, 7)
    _, _, state = followed(network, images, mask)
    sizes = []
    for i in range(40):
        _, _, state = network.memory.follow(network.encode_image(images[i % 5]), state)
        sizes.append(state.nbytes)
        tensors = (state.first, state.first_pointer, *state.recent, *state.pointers)
        assert sum(tensor.untyped_storage().nbytes() for tensor in tensors) <= 2 * state.nbytes
    assert sizes[0] < sizes[11] == sizes[-1]
    assert (len(state.recent), len(state.pointers), state.age) == (6, 15, 44)


def test_the_published_shape_equals_the_reference_and_takes_under_4_mb(tmp_path: Path) -> None:
    """facebook/sam2.1-hiera-tiny, one object in two images."""
    write_sam2(tmp_path, Sam2VideoConfig())
    images, mask = [blots(480, 640, 1), blots(480, 640, 2)], rectangle((480, 640))
    network = load_network("sam2", tmp_path, CPU)
    [logits], [score], state = followed(network, images, mask)
    [expected], [expected_score] = reference("sam2", tmp_path, images, mask, side=1024)
    most = 1e-4 * max(1.0, float(expected.abs().max()))
    torch.testing.assert_close(logits, expected, rtol=0, atol=most)
    assert score == pytest.approx(expected_score, abs=1e-4 * max(1.0, abs(expected_score)))
    per_image, per_pointer = state.first.nbytes, state.first_pointer.nbytes
    assert 3.6e6 < 7 * per_image + 16 * per_pointer < 3.8e6


def test_an_object_is_missed_and_found_again(model: tuple[str, Path]) -> None:
    """By the whole segmenter: None where the object score is at most 0, otherwise its mask and probability."""
    kind, folder = model
    images, mask = moving((48, 64), 20, 3), rectangle((48, 64))
    find_it_in_half(kind, folder, images, mask)
    masks, scores, _ = followed(load_network(kind, folder, CPU), images, mask)
    segmenter = whole_segmenter(kind, folder, folder.parent)
    assert video_follower_of(segmenter) is segmenter
    [memory] = segmenter.remember(images[0], [mask])
    results = [segmenter.follow(image, [memory])[0] for image in images[1:]]
    signs = [score > 0 for score in scores]
    assert [detected is not None for detected in results] == signs
    assert (True, False) in itertools.pairwise(signs)
    assert (False, True) in itertools.pairwise(signs)
    for detected, logits, score in zip(results, masks, scores, strict=True):
        if detected is None:
            continue
        assert detected.class_id == 0
        assert detected.score == pytest.approx(1 / (1 + math.exp(-score)), abs=1e-5)
        [full] = functional.interpolate(logits[None, None], (48, 64), mode="bilinear")[0]
        expected = cut_out((full > 0).numpy(), detected.score)
        assert detected.box == expected.box and np.array_equal(detected.mask, expected.mask)


def test_objects_do_not_depend_on_each_other(model: tuple[str, Path]) -> None:
    kind, folder = model
    images, mask = moving((48, 64), 8, 3), rectangle((48, 64))
    segmenter = whole_segmenter(kind, folder, folder.parent)
    alone, first, second = segmenter.remember(images[0], [mask, mask, ~mask])
    for image in images[1:]:
        [expected] = segmenter.follow(image, [alone])
        result, _ = segmenter.follow(image, [first, second])
        assert (result is None) == (expected is None)
        if result is not None and expected is not None:
            assert result.box == expected.box and np.array_equal(result.mask, expected.mask)
            assert result.score == pytest.approx(expected.score, abs=1e-5)


def test_an_image_is_encoded_once_for_detections_and_followed_objects(
    model: tuple[str, Path],
) -> None:
    kind, folder = model
    segmenter = whole_segmenter(kind, folder, folder.parent)
    images, vocabulary = moving((48, 64), 3, 3), words("red", "blue")
    [memory] = segmenter.remember(images[0], [rectangle((48, 64))])
    batch = Batch(tuple(images[1:]), vocabulary.thresholds(0.0))
    encoded = segmenter.encode(vocabulary)
    network = segmenter._prompted_network()._network
    runs: list[int] = []
    network.vision_encoder.backbone.register_forward_hook(lambda *_: runs.append(1))
    with keeping_images():
        results = segmenter.segment(batch, encoded)
        assert all(result.instances for result in results)
        once = len(runs)
        for image in images[1:]:
            segmenter.follow(image, [memory])
    assert len(runs) == once == 2
    segmenter.follow(images[2], [memory])
    assert len(runs) == 3


def test_a_mask_smaller_than_a_cell_of_the_input_is_remembered(model: tuple[str, Path]) -> None:
    """One pixel of an image of 20 times the model's size."""
    kind, folder = model
    network = load_network(kind, folder, CPU)
    mask = np.zeros((900, 1300), np.bool_)
    mask[700, 800] = True
    _, scores, state = followed(network, [noise(900, 1300), noise(900, 1300, 1)], mask)
    empty = np.zeros_like(mask)
    empty[0, 0] = True
    _, others, other = followed(network, [noise(900, 1300), noise(900, 1300, 1)], empty)
    assert not torch.equal(state.first, other.first) and scores != others


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_16_bits_are_close_to_32(model: tuple[str, Path], precision: str) -> None:
    kind, folder = model
    images, mask = moving((48, 64), 6, 3), rectangle((48, 64))
    exact, scores, _ = followed(load_network(kind, folder, CPU), images, mask)
    half = load_network(kind, folder, LoadOptions("cpu", precision))
    close, close_scores, state = followed(half, images, mask)
    assert close[0].dtype == torch.float32 and state.first.element_size() == 2
    signs = zip(scores, close_scores, strict=True)
    assert all((a > 0) == (b > 0) for a, b in signs if abs(a) > 1)
    # Which of several masks an object has that was hidden is, with random weights, a question of rounding.
    hidden = [bool((a < -1000).all()) for a in exact]
    again = [i for i in range(1, len(exact)) if hidden[i - 1] and not hidden[i]]
    pairs = list(zip(exact, close, strict=True))[: min([len(exact), *again])]
    assert len(pairs) > 2
    assert min(((a > 0) == (b > 0)).float().mean() for a, b in pairs) > 0.85


@pytest.mark.parametrize("side", [128, 224])
def test_the_memory_works_at_another_input_size(tmp_path: Path, side: int) -> None:
    """SAM 2 at 128 and SAM 3 at 224 pixels: another number of cells, whose positions are computed anew."""
    kind = "sam2" if side == 128 else "sam3"
    write_video_model(kind, tmp_path)
    network = load_network(kind, tmp_path, LoadOptions("cpu", inference_size=side))
    masks, _, state = followed(network, moving((48, 64), 4, 3), rectangle((48, 64)))
    cells = side // (16 if kind == "sam2" else 14)
    assert state.first.shape[0] == cells**2
    assert masks[-1].shape == (4 * cells, 4 * cells)


def test_edgetam_has_no_memory_at_a_size_that_its_windows_do_not_divide(tmp_path: Path) -> None:
    write_video_model("edgetam", tmp_path)
    options = LoadOptions("cpu", inference_size=96)
    assert load_network("edgetam", tmp_path, options).memory is not None
    tensors = load_file(tmp_path / "model.safetensors")
    settings = json.loads((tmp_path / "config.json").read_text())
    settings["perceiver_resampler_num_latents_2d"] = 16
    (tmp_path / "config.json").write_text(json.dumps(settings))
    name = "spatial_perceiver.latents_2d"
    tensors[name] = tensors[name].repeat(4, 1)
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    assert load_network("edgetam", tmp_path, options).memory is None
    assert load_network("edgetam", tmp_path, CPU).memory is not None


def test_a_checkpoint_without_a_memory_that_works_has_none(tmp_path: Path) -> None:
    write_sam2(tmp_path, small_sam2_video_config())  # too narrow for transformers' memory attention
    assert load_network("sam2", tmp_path, CPU).memory is None
    write_sam2(tmp_path, small_sam2_config())
    assert load_network("sam2", tmp_path, CPU).memory is None
    segmenter = whole_segmenter("sam2", tmp_path, tmp_path)
    assert video_follower_of(segmenter) is None and video_follower_of(None) is None


# -- the accelerator ---------------------------------------------------------------------------------------


def transfers(accelerator: Accelerator) -> list[int]:
    return [accelerator.count(kind) for kind in ("upload", "download", "synchronisation")]


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_a_memory_in_half_precision_stays_on_the_accelerator(
    model: tuple[str, Path], precision: str, accelerator: Accelerator
) -> None:
    kind, folder = model
    images, mask = moving((48, 64), 4, 3), rectangle((48, 64))
    name = whole_segmenter(kind, folder, folder.parent).model
    on_device = load_segmenter(name, LoadOptions("cuda", precision))
    assert isinstance(on_device, NetworkPrompter)
    memories = on_device.remember(images[0], [mask])
    for image in images[1:]:
        accelerator.reset()
        [_] = on_device.follow(image, memories)
        assert accelerator.count("synchronisation") == 0, accelerator.lines()
    assert transfers(accelerator) == [1, 1, 0], accelerator.lines()


def test_objects_are_followed_on_the_accelerator_with_one_download(
    model: tuple[str, Path], accelerator: Accelerator
) -> None:
    kind, folder = model
    images, mask = moving((48, 64), 8, 3), rectangle((48, 64))
    find_it_in_half(kind, folder, images, mask)
    on_cpu = whole_segmenter(kind, folder, folder.parent)
    on_device = load_segmenter(on_cpu.model, LoadOptions("cuda", "fp32"))
    assert isinstance(on_device, NetworkPrompter)
    accelerator.reset()
    on_both = [each.remember(images[0], [mask, ~mask]) for each in (on_cpu, on_device)]
    # Nothing is read back; constants of the first image are uploaded, too.
    assert accelerator.count("download") == accelerator.count("synchronisation") == 0
    accelerator.reset()
    on_device.remember(images[0], [mask, ~mask])
    assert transfers(accelerator) == [2, 0, 0], accelerator.lines()  # the image, all masks
    for image in images[1:]:
        expected = on_cpu.follow(image, on_both[0])
        accelerator.reset()
        results = on_device.follow(image, on_both[1])
        counts = transfers(accelerator)
        if image is not images[1]:  # with which constants are uploaded
            # The image; all masks with their scores.
            assert counts == [1, 1, 0], accelerator.lines()
        for result, of_cpu in zip(results, expected, strict=True):
            assert (result is None) == (of_cpu is None)
            if result is not None and of_cpu is not None:
                # Pixels of the resized images may differ by one grey level.
                assert result.score == pytest.approx(of_cpu.score, abs=0.01)
                assert mask_iou(result, of_cpu) > 0.97
