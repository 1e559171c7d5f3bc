# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Logits of example images in the space of a dense embedding model.

The vector of an example is the mean of its features over the mask (`pooled_example`). A pixel is compared with it by
cosine, once for shape and once for colour, as PANet compares pixels with prototypes (Wang et al. 2019, arXiv
1908.06391). Both must fit: the lowest of the logits counts. The cosines at which a pixel is as likely of the class
as not are 0.5 for shape and 0.96 for colour, chosen on rendered scenes of six shapes that `tabletop` does not know.
The mean vector of a shape that was never learned differs between views; a colour's does not.

A shape that was never learned has something in common with those that were. So the shapes that the model has words for
compete with the example, as the other classes of PANet do: a pixel that one of them fits, and that does not fit the
example, is not of the example.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from zs_seg_ros.segmenters.dense.config import DenseConfig
from zs_seg_ros.segmenters.dense.network import DenseNetwork
from zs_seg_ros.segmenters.shared.constants import constant_integers
from zs_seg_ros.vocabulary.vocabulary import Exemplar

_SHAPE_COSINE, _COLOUR_COSINE = 0.5, 0.96
_SHAPE_SCALE, _COLOUR_SCALE = 10.0, 100.0
"""With these the confidence of an equal pixel is above 0.99."""
_OWN_SHARE = 0.01
"""With more, a known shape that fits a few pixels of the example takes such parts from the object in other images."""


def shape_words(config: DenseConfig) -> tuple[str, ...]:
    """Return the words that name a shape: all but those for colours and those without meaning.

    Empty for a model whose configuration does not say which words are colours (leading_words).
    """
    if not config.leading_words:
        return ()
    others = {*config.leading_words, *config.silent_words, *config.ignored_words}
    return tuple(word for word in config.words if word not in others)


class KnownShapes:
    """The shapes of the W words that name one, which compete with examples."""

    def __init__(self, network: DenseNetwork) -> None:
        self._width = network.config.embedding_dim - network.config.colour_dim
        words = shape_words(network.config)
        with torch.inference_mode():
            rows = network.text(network.tokenize(words).to(network.bias.device)) if words else None
        self._shapes = None if rows is None else rows[:, : self._width].clone()
        self._offsets = None if rows is None else rows[:, -2] + network.bias[0]

    @property
    def count(self) -> int:
        """W."""
        return 0 if self._shapes is None else len(self._shapes)

    def logits(self, pixels: Tensor) -> Tensor:
        """Compute how well each shape fits pixel embeddings (D, h, w), as logits of the form (W, h, w)."""
        if self._shapes is None or self._offsets is None:
            return pixels[:0]
        products = torch.einsum("kd,dhw->khw", self._shapes, pixels[: self._width])
        fits: Tensor = products + self._offsets[:, None, None]
        return fits

    def are_other(self, known: Tensor, example: Exemplar) -> Tensor:
        """Return for each shape whether it is another one than the example's: (1, W) bool.

        known: (W, h, w), the `logits` of the example's image. It is another one if the mean of its probabilities over
        the mask is below _OWN_SHARE.
        """
        weights = torch.ones(known.shape[1:])
        if example.mask is not None:
            size, mask = (known.shape[2], known.shape[1]), example.mask.astype(np.float32)
            weights = torch.from_numpy(cv2.resize(mask, size, interpolation=cv2.INTER_AREA))
        weights = weights.to(known.device)
        fits = (known.sigmoid() * weights).sum(dim=(1, 2))
        return (fits < _OWN_SHARE * weights.sum())[None]


def example_logits(
    pixels: Tensor, examples: Tensor, config: DenseConfig, known: Tensor, are_other: Tensor
) -> Tensor:
    """Compare pixel embeddings (D, h, w) with the vectors (E, D) of examples: logits (E, h, w).

    known: (W, h, w), the logits of known shapes. are_other: (E, W), which of them are others than the example's.
    """
    sizes = [config.embedding_dim - config.colour_dim, config.colour_dim]
    shape, colour = (
        torch.einsum(
            "ed,dhw->ehw", functional.normalize(vectors, dim=1), functional.normalize(values, dim=0)
        )
        for vectors, values in zip(
            torch.split(examples, sizes, dim=1), torch.split(pixels, sizes), strict=True
        )
    )
    logits = torch.minimum(
        (shape - _SHAPE_COSINE) * _SHAPE_SCALE, (colour - _COLOUR_COSINE) * _COLOUR_SCALE
    )
    if not len(known):
        return logits
    # One example at a time, which bounds the memory.
    others = [
        known.masked_fill(~of_example[:, None, None], -torch.inf).amax(dim=0)
        for of_example in are_other
    ]
    return torch.minimum(logits, -torch.stack(others))


def with_examples(
    logits: Tensor,
    examples: tuple[int, ...],
    pixels: Tensor,
    rows: Tensor,
    are_other: Tensor,
    known: Tensor,
    config: DenseConfig,
) -> Tensor:
    """Return logits (k, h, w) of some rows (k, D + 2), with those of `example_logits` where a row is of an example.

    examples: the indices of these rows. are_other: (k, W); all else as for `example_logits`.
    """
    index = constant_integers(
        examples, pixels.device
    )  # a list as an index would be uploaded for every image
    vectors, others = (of_rows.index_select(0, index) for of_rows in (rows, are_other))
    of_examples = example_logits(pixels, vectors[:, :-2], config, known, others)
    return logits.index_copy(0, index, of_examples)
