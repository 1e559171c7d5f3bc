"""Logits of example images in the space of a dense embedding model.

The vector of an example is the mean of its features over the mask (`pooled_example`). A pixel is compared with it by
cosine, once for shape and once for colour, as PANet compares pixels with prototypes (Wang et al. 2019, arXiv
1908.06391). Both must fit: the lower of the two logits counts. The cosines at which a pixel is as likely of the class
as not are 0.5 for shape and 0.95 for colour, chosen on rendered scenes of five shapes that `tabletop` does not know.
The mean vector of a shape that was never learned differs between views; a colour's does not.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from zs_seg_ros.segmenters.dense.network import DenseConfig

_SHAPE_COSINE, _COLOUR_COSINE = 0.5, 0.95
_SHAPE_SCALE, _COLOUR_SCALE = 10.0, 100.0
"""With these the confidence of an equal pixel is 0.993."""


def example_logits(pixels: Tensor, examples: Tensor, config: DenseConfig) -> Tensor:
    """Compare pixel embeddings (D, h, w) with the vectors (E, D) of examples: logits (E, h, w)."""
    sizes = [config.embedding_dim - config.colour_dim, config.colour_dim]
    shape, colour = (
        torch.einsum(
            "ed,dhw->ehw", functional.normalize(vectors, dim=1), functional.normalize(values, dim=0)
        )
        for vectors, values in zip(
            torch.split(examples, sizes, dim=1), torch.split(pixels, sizes), strict=True
        )
    )
    return torch.minimum(
        (shape - _SHAPE_COSINE) * _SHAPE_SCALE, (colour - _COLOUR_COSINE) * _COLOUR_SCALE
    )
