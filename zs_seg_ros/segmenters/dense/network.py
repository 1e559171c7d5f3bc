# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The network of the dense embedding models, which embeds images and prompts in one space.

An image encoder computes one embedding per two-by-two pixels, a text encoder one per prompt, and their product is the
logit (the idea of LSeg, Li et al. 2022, "Language-driven semantic segmentation"), once for shape and once for colour.
The image encoder is a small U-Net (Ronneberger et al. 2015), the text encoder a weighted sum over whole words.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from zs_seg_ros.files import write_output
from zs_seg_ros.segmenters.dense.words import WordRules, split_words
from zs_seg_ros.shown import quoted

PADDING, UNKNOWN = 0, 1
"""Token ids that no word has; the ids of words follow in the order of `DenseConfig.words`."""
_CONTEXT_DIM = 8
_MOST = {"embedding_dim": 1024, "colour_dim": 1024, "max_words": 1000, "image_pixels": 4096 * 3072}
_LEAST = {"image_pixels": 256}
_MOST_WIDTH, _MOST_WORDS = 1024, 100_000
_WORD_LISTS = ("words", "silent_words", "ignored_words", "leading_words")


@dataclass(frozen=True)
class DenseConfig:
    """The configuration of the network, saved as the checkpoint's config.json.

    image_pixels: images are resized to about this many pixels, as in training.
    caution: one sentence that every user of the checkpoint must read; may be empty.
    silent_words, ignored_words, leading_words: see WordRules; words of `words` or others.
    """

    words: tuple[str, ...]
    widths: tuple[int, int, int, int] = (24, 48, 96, 128)
    embedding_dim: int = 64
    colour_dim: int = 16
    max_words: int = 12
    image_pixels: int = 320 * 240
    caution: str = ""
    silent_words: tuple[str, ...] = ()
    ignored_words: tuple[str, ...] = ()
    leading_words: tuple[str, ...] = ()
    model_type: str = "zs_seg_dense"

    def __post_init__(self) -> None:
        """Raise ValueError for fields of other types or beyond what this network is made for."""
        numbers = {name: getattr(self, name) for name in _MOST}
        numbers |= {f"widths[{i}]": width for i, width in enumerate(self.widths)}
        for name, value in numbers.items():
            least, most = _LEAST.get(name, 1), _MOST.get(name, _MOST_WIDTH)
            if type(value) is not int or not least <= value <= most:
                raise ValueError(
                    f"{name} is {quoted(value)}; it must be an integer from {least} to {most}"
                )
        if len(self.widths) != 4 or self.widths[0] < 2:
            raise ValueError("widths must be four numbers, the first of them 2 or more")
        if self.colour_dim >= self.embedding_dim:
            raise ValueError("colour_dim must be less than embedding_dim")
        for name in _WORD_LISTS:
            words = getattr(self, name)
            if len(words) > _MOST_WORDS or not all(isinstance(word, str) for word in words):
                raise ValueError(f"{name} must be at most {_MOST_WORDS} texts")
        if not isinstance(self.caution, str):
            raise ValueError(f"caution is {quoted(self.caution)}; it must be text")

    @classmethod
    def of(cls, fields: dict[str, Any]) -> DenseConfig:
        """Make a configuration of the content of a config.json. Raises KeyError, TypeError or ValueError."""
        lists = {name: fields[name] for name in ("words", "widths")}
        lists |= {name: fields[name] for name in _WORD_LISTS if name in fields}
        for name, value in lists.items():
            if not isinstance(value, list):
                raise ValueError(f"{name} is {quoted(value)}; it must be a list")
        return cls(**fields | {name: tuple(value) for name, value in lists.items()})

    def write(self, path: Path) -> None:
        """Write config.json."""
        write_output(path, (json.dumps(asdict(self), indent=1) + "\n").encode())


class _Convolution(nn.Sequential):
    def __init__(self, inputs: int, outputs: int, stride: int = 1, size: int = 3) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = _Convolution(width, width)
        self.second = nn.Sequential(
            nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width)
        )

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(x + self.second(self.first(x)))


class _Up(nn.Module):
    """Doubles the resolution and adds the encoder's features of that resolution."""

    def __init__(self, inputs: int, skip: int, outputs: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.skip = nn.Conv2d(skip, outputs, 1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        self.refine = _Convolution(outputs, outputs)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        larger = functional.interpolate(self.reduce(x), size=skip.shape[-2:], mode="bilinear")
        return self.refine(functional.relu(self.norm(larger + self.skip(skip))))  # type: ignore[no-any-return]


class _ShapeEncoder(nn.Module):
    """A U-Net over brightness alone (B, 1, H, W), so that the kind of an object cannot depend on its colour."""

    def __init__(self, config: DenseConfig) -> None:
        super().__init__()
        a, b, c, d = config.widths
        self.stem = nn.Sequential(_Convolution(1, a, 2, size=5), _Convolution(a, a))
        self.quarter = nn.Sequential(_Convolution(a, b, 2), _Residual(b), _Residual(b))
        self.eighth = nn.Sequential(_Convolution(b, c, 2), _Residual(c), _Residual(c))
        self.sixteenth = nn.Sequential(_Convolution(c, d, 2), _Residual(d))
        self.up_eighth = _Up(d, c, c)
        self.up_quarter = _Up(c, b, b)
        self.up_half = _Up(b, a, a + a // 2)
        self.embed = nn.Conv2d(a + a // 2, config.embedding_dim - config.colour_dim, 1)

    def forward(self, brightness: Tensor) -> Tensor:
        half = self.stem(brightness)
        quarter = self.quarter(half)
        eighth = self.eighth(quarter)
        features = self.up_eighth(self.sixteenth(eighth), eighth)
        features = self.up_half(self.up_quarter(features, quarter), half)
        return self.embed(features)  # type: ignore[no-any-return]


class _ColourEncoder(nn.Module):
    """A few layers over colour (B, 3, H, W), with enough context to compensate for the lighting."""

    def __init__(self, config: DenseConfig) -> None:
        super().__init__()
        a, b = config.widths[:2]
        self.stem = nn.Sequential(_Convolution(3, a, 2, size=5), _Convolution(a, a))
        self.eighth = nn.Sequential(_Convolution(a, b, 2), _Convolution(b, b, 2), _Residual(b))
        self.up_half = _Up(b, a, a)
        self.embed = nn.Conv2d(a, config.colour_dim, 1)

    def forward(self, images: Tensor) -> Tensor:
        half = self.stem(images)
        return self.embed(self.up_half(self.eighth(half), half))  # type: ignore[no-any-return]


class ImageEncoder(nn.Module):
    """Embeds images (B, 3, H, W) in 0..1 as (B, D, H/2, W/2), rounded up.

    Shape and colour have separate encoders. One encoder for both learns from images without a red duck that a red
    object is no duck; separate encoders cannot, and detect ducks in colours that are missing from the training data.
    """

    brightness: Tensor

    def __init__(self, config: DenseConfig) -> None:
        super().__init__()
        self.shape = _ShapeEncoder(config)
        self.colour = _ColourEncoder(config)
        # Luma of ITU-R BT.601. On the CPU even where the weights have no memory yet, since no file holds it.
        weights = torch.tensor([0.299, 0.587, 0.114], device="cpu")
        self.register_buffer("brightness", weights[None, :, None, None], persistent=False)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        """Embed images (B, 3, H, W) in 0..1 as (B, D, H/2, W/2), rounded up."""
        centred = (images - 0.5) * 4.0
        shape = self.shape((centred * self.brightness).sum(dim=1, keepdim=True))
        return torch.cat([shape, self.colour(centred)], dim=1)


class TextEncoder(nn.Module):
    """Embeds tokens (K, L) int64 as (K, D + 2): the sum of the words' embeddings, and two offsets of the logits.

    In a sum a word contributes the same in every prompt, also in pairs that are missing from the training data. The
    weight of a word depends on the word that follows: in "teddy bear", two words together mean what each means alone.
    """

    def __init__(self, config: DenseConfig) -> None:
        super().__init__()
        count = len(config.words) + 2
        self.words = nn.Embedding(count, config.embedding_dim + 2, padding_idx=PADDING)
        self.before = nn.Embedding(count, _CONTEXT_DIM)
        self.after = nn.Embedding(count, _CONTEXT_DIM)
        nn.init.normal_(self.words.weight, std=0.05)
        with torch.no_grad():
            self.words.weight[PADDING] = 0.0

    def forward(self, tokens: Tensor) -> Tensor:
        """Embed tokens (K, L) int64 as (K, D + 2)."""
        following = functional.pad(tokens[:, 1:], (0, 1), value=PADDING)
        agreement = (self.before(tokens) * self.after(following)).sum(dim=-1, keepdim=True)
        return (self.words(tokens) * torch.sigmoid(2.0 + agreement)).sum(dim=1)  # type: ignore[no-any-return]


class DenseNetwork(nn.Module):
    """Both encoders, and the product of their embeddings to logits."""

    def __init__(self, config: DenseConfig) -> None:
        super().__init__()
        self.config = config
        self.image = ImageEncoder(config)
        self.text = TextEncoder(config)
        # Added to a prompt's offsets: most pixels show no object, and a prompt without a colour fits every colour.
        self.bias = nn.Parameter(torch.tensor([-4.0, 4.0]))
        self._token = {word: i + 2 for i, word in enumerate(config.words)}
        self.rules = WordRules(
            frozenset(config.words),
            *(frozenset(getattr(config, name)) for name in _WORD_LISTS[1:]),
        )

    def tokenize(self, prompts: Sequence[str]) -> Tensor:
        """Tokenize prompts to ids (K, L) int64, by `rules`: UNKNOWN for unknown words, none beyond `max_words`."""
        rows = [
            [self._token.get(word, UNKNOWN) for word in self.rules.normalised(self.words_of(p))]
            or [UNKNOWN]
            for p in prompts
        ]
        length = max(len(row) for row in rows)
        return torch.tensor([row + [PADDING] * (length - len(row)) for row in rows])

    def words_of(self, prompt: str) -> list[str]:
        """List the words of a prompt that the model reads."""
        return split_words(prompt)[: self.config.max_words]

    def unknown_words(self, prompt: str) -> list[str]:
        """List the words of a prompt that have no meaning to the model, in order."""
        return self.rules.unknown_in(split_words(prompt))

    def logits(self, pixels: Tensor, prompts: Tensor) -> Tensor:
        """Compute the logits, (B, K, h, w), of pixel embeddings (B, D, h, w) and text embeddings (K, D + 2).

        A prompt fits where both its shape and its colour fit: the probability is about the product of both. In a sum
        of logits a confident "duck" would outvote an uncertain "red".
        """
        shape_dim = self.config.embedding_dim - self.config.colour_dim
        sizes = [shape_dim, self.config.colour_dim]
        shape_pixels, colour_pixels = torch.split(pixels, sizes, dim=1)
        shape, colour, offsets = torch.split(prompts, [*sizes, 2], dim=1)
        shape_offset, colour_offset = (offsets + self.bias).unbind(dim=1)
        shape_logits = functional.conv2d(shape_pixels, shape[:, :, None, None], shape_offset)
        colour_logits = functional.conv2d(colour_pixels, colour[:, :, None, None], colour_offset)
        return -torch.logaddexp(-shape_logits, -colour_logits)


def fold_batch_norm(network: nn.Module) -> None:
    """Merge each batch normalisation into the convolution before it, in place: equal outputs in less time."""
    for module in network.modules():
        if isinstance(module, nn.Sequential) and len(module) > 1:
            convolution, norm = module[0], module[1]
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                module[0] = fuse_conv_bn_eval(convolution, norm)
                module[1] = nn.Identity()
