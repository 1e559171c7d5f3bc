# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The start of tabletop's pretrained encoder: every weight of its way down comes from EfficientNet-Lite0's file.

`training` is not installed; it is imported from the source folder.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from zs_seg_ros.segmenters.dense.config import DenseConfig
from zs_seg_ros.segmenters.dense.image_encoder import PretrainedEncoder
from zs_seg_ros.segmenters.dense.network import DenseNetwork

ROOT = Path(__file__).resolve().parents[2]

# (expansion, kernel size, inputs, outputs) of the first eleven blocks, as published.
BLOCKS = (
    (1, 3, 32, 16),
    (6, 3, 16, 24),
    (6, 3, 24, 24),
    (6, 5, 24, 40),
    (6, 5, 40, 40),
    (6, 3, 40, 80),
    (6, 3, 80, 80),
    (6, 3, 80, 80),
    (6, 5, 80, 112),
    (6, 5, 112, 112),
    (6, 5, 112, 112),
)


@pytest.fixture(scope="module", autouse=True)
def sources() -> Iterator[None]:
    sys.path.insert(0, str(ROOT))
    yield
    sys.path.remove(str(ROOT))


def loaded(path: Path, weights: dict[str, Tensor]) -> tuple[PretrainedEncoder, dict[str, Tensor]]:
    """Return an encoder with the weights of a file, and those that it had before."""
    from training.imagenet import load_backbone

    torch.save(weights, path)
    encoder = PretrainedEncoder(DenseConfig(("mug",), backbone_widths=(32, 16, 24, 40, 80, 112)))
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    load_backbone(encoder, path)
    return encoder, before


def norm(name: str, width: int) -> dict[str, Tensor]:
    parts = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.{part}": torch.rand(width) for part in parts}


@pytest.fixture
def published() -> dict[str, Tensor]:
    weights = {"_conv_stem.weight": torch.randn(32, 3, 3, 3), **norm("_bn0", 32)}
    for number, (expansion, size, inputs, outputs) in enumerate(BLOCKS):
        name, wide = f"_blocks.{number}", inputs * expansion
        if expansion > 1:
            weights[f"{name}._expand_conv.weight"] = torch.randn(wide, inputs, 1, 1)
            weights |= norm(f"{name}._bn0", wide)
        weights[f"{name}._depthwise_conv.weight"] = torch.randn(wide, 1, size, size)
        weights[f"{name}._project_conv.weight"] = torch.randn(outputs, wide, 1, 1)
        weights |= norm(f"{name}._bn1", wide) | norm(f"{name}._bn2", outputs)
    return weights


def test_every_weight_of_the_way_down_is_taken_from_the_file(
    tmp_path: Path, published: dict[str, Tensor]
) -> None:
    encoder, before = loaded(tmp_path / "published.pth", published)
    for name, value in encoder.state_dict().items():
        taken = name.startswith(("stem", "stages")) and not name.endswith("num_batches_tracked")
        assert torch.equal(value, before[name]) != taken, name


def test_a_grey_image_has_the_first_features_that_it_has_in_colour(
    tmp_path: Path, published: dict[str, Tensor]
) -> None:
    encoder, _ = loaded(tmp_path / "published.pth", published)
    grey = torch.rand(1, 1, 8, 8) * 2 - 1
    in_colour = torch.nn.functional.conv2d(
        grey.expand(-1, 3, -1, -1), published["_conv_stem.weight"], stride=2, padding=1
    )
    assert torch.allclose(encoder.stem[0](2 * grey), in_colour, atol=1e-4)


def test_a_file_of_another_network_is_refused(tmp_path: Path, published: dict[str, Tensor]) -> None:
    del published["_blocks.10._project_conv.weight"]
    with pytest.raises(KeyError, match=r"_blocks\.10\._project_conv"):
        loaded(tmp_path / "published.pth", published)


@pytest.fixture
def model(tmp_path: Path, published: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a model without a pretrained encoder, and let the package's weights be `published`."""
    from training import imagenet

    torch.save(published, tmp_path / "published.pth")
    monkeypatch.setattr(
        imagenet,
        "start_from_imagenet",
        lambda encoder: imagenet.load_backbone(encoder, tmp_path / "published.pth"),
    )
    config = DenseConfig(("mug",), widths=(4, 4, 4, 4), embedding_dim=8, colour_dim=3)
    return written(DenseNetwork(config), tmp_path / "model")


def written(network: DenseNetwork, folder: Path) -> Path:
    folder.mkdir()
    network.config.write(folder / "config.json")
    save_file(network.state_dict(), folder / "model.safetensors")
    return folder


def test_an_encoder_is_added_once_and_trained_where_it_is(tmp_path: Path, model: Path) -> None:
    from training.imagenet import network_of

    first = network_of(model, "shape")
    assert first.image.pretrained is None
    with pytest.raises(ValueError, match=r"--encoder both does not fit .*, which has no"):
        network_of(model, "both")
    added = network_of(model, "pretrained")
    for name, value in first.state_dict().items():
        assert torch.equal(added.state_dict()[name], value), name
    larger = written(added, tmp_path / "larger")
    assert network_of(larger, "both").image.pretrained is not None
    for encoder in ("shape", "pretrained"):
        with pytest.raises(ValueError, match=f"--encoder {encoder} does not fit .*, which has a"):
            network_of(larger, encoder)


def test_the_shape_of_a_pixel_is_the_sum_of_both_encoders(model: Path) -> None:
    from training.imagenet import network_of, with_halves

    network = network_of(model, "pretrained").eval()
    images = torch.rand(1, 3, 16, 18)
    brightness = ((images - 0.5) * 4 * network.image.brightness).sum(dim=1, keepdim=True)
    with torch.no_grad():
        expected = network.image.shape(brightness) + network.image.pretrained(brightness)
        sums, halves = (n.image(images)[:, :5] for n in (network, with_halves(network)))
    assert torch.allclose(sums, expected, atol=1e-5)
    assert torch.allclose(halves, expected / 2, atol=1e-5)
