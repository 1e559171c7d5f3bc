"""SegFormer: the closed-set comparison (Xie et al. 2021, arXiv 2105.15203).

Loads any checkpoint of transformers' `SegformerForSemanticSegmentation`, such as
nvidia/segformer-b0-finetuned-ade-512-512. It takes no prompts but its own labels.

transformers resizes the logits of all labels to the image, bilinearly, and gives each pixel the arg-max. Here a pixel
belongs to a class when that same label is one of the class's and its probability among all labels of the model
reaches the threshold. So a class never depends on which others are listed. The probability is that of the softmax,
computed as log odds at the logits' resolution and resized like the logits: between two labels that equals the softmax
of the resized logits; where more labels meet it is lower, never higher.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from transformers import SegformerConfig, SegformerForSemanticSegmentation
from transformers.models.segformer.image_processing_pil_segformer import SegformerImageProcessorPil

from zs_seg_ros.errors import ModelError
from zs_seg_ros.segmenters.base import EncodedVocabulary
from zs_seg_ros.segmenters.engines.parts import Exportable, NetworkPart, Run, image_encoder
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.segformer.label_names import LabelNames
from zs_seg_ros.segmenters.segformer.network import SegFormerNetwork
from zs_seg_ros.segmenters.shared.device import choose_device, choose_precision, precision_name
from zs_seg_ros.segmenters.shared.exemplars import refuse_exemplars
from zs_seg_ros.segmenters.shared.image_tensors import IMAGENET_MEAN, IMAGENET_STD, prepare
from zs_seg_ros.segmenters.shared.input_size import choose_input_size
from zs_seg_ros.segmenters.shared.label_image import decode
from zs_seg_ros.segmenters.shared.pretrained import ImageFormat, load_image_format, load_model
from zs_seg_ros.segmenters.shared.prompts import refuse_negatives
from zs_seg_ros.segmenters.shared.stages import stage
from zs_seg_ros.segmenters.shared.torch_segmenter import TorchSegmenter
from zs_seg_ros.shown import quoted
from zs_seg_ros.types import Batch, Segmentation
from zs_seg_ros.vocabulary.class_ids import LabelIds
from zs_seg_ros.vocabulary.vocabulary import Vocabulary

# ImageNet's mean and standard deviation, as in the published preprocessor_config.json.
_DEFAULT_FORMAT = ImageFormat((512, 512), IMAGENET_MEAN, IMAGENET_STD)

_MAX_LOG_PROBABILITY = -1e-7  # at 0 the log odds would be infinite, and spread when resized
_LEAST_THRESHOLD = 1e-6  # at 0 a class would get the pixels of all other labels, too


@dataclass(frozen=True)
class SegFormerFeatures:
    """The labels of all classes: labels[i] is of the class with index class_of_label[i]; a class may have several."""

    labels: tuple[int, ...]
    class_of_label: tuple[int, ...]


class SegFormerSegmenter(TorchSegmenter[SegFormerFeatures], Exportable):
    """Segments images with a SegFormer checkpoint in the format of transformers."""

    takes_input_size = True
    prompts_are_independent = True

    def __init__(self, model: str, folder: Path, options: LoadOptions) -> None:
        self.model = model
        device = choose_device(options.device)
        self.device = str(device)
        self._dtype = choose_precision(options, device, "segformer")
        self.precision = precision_name(self._dtype)
        loaded = load_model(SegformerForSemanticSegmentation, model, folder, self._dtype)
        self._names = LabelNames(model, folder, loaded.config.id2label)
        self.only_names = tuple(dict.fromkeys(self._names.labels.values()))
        self._format = load_image_format(SegformerImageProcessorPil, model, folder, _DEFAULT_FORMAT)
        if not loaded.config.reshape_last_stage:
            raise ModelError(
                f"{model} has reshape_last_stage false in its config.json, which is for classifying whole images; "
                "give a checkpoint that was made for segmentation"
            )
        self._input_size = choose_input_size(
            model, options.inference_size, self._format.size, least=_least_side(loaded.config)
        )
        self.network = SegFormerNetwork(loaded).to(device)
        self._forward: Callable[[Tensor], Tensor]
        self._forward = torch.compile(self.network) if options.compile else self.network
        self._mean = torch.tensor(self._format.mean, device=device)
        self._std = torch.tensor(self._format.std, device=device)

    def network_parts(self) -> tuple[NetworkPart, ...]:
        """Return the whole network, at the model's input size."""
        network, size = self.network, self._input_size
        return (
            image_encoder(
                "segformer",
                lambda pixels: (network(pixels),),
                network,
                size,
                ("logits",),
                self._forward_with,
            ),
        )

    def _forward_with(self, run: Run) -> None:
        self._forward = lambda pixels: run(pixels)[0]

    def encode(self, vocabulary: Vocabulary) -> EncodedVocabulary[SegFormerFeatures]:
        """Look up the labels of each class. Raises VocabularyError, which lists labels, for a prompt that is none."""
        refuse_exemplars(vocabulary, self.model)
        refuse_negatives(vocabulary, self.model)
        numbers = self._names.numbers_of(vocabulary)
        pairs = [(label, index) for index, labels in enumerate(numbers) for label in labels]
        features = SegFormerFeatures(tuple(n for n, _ in pairs), tuple(i for _, i in pairs))
        return EncodedVocabulary(vocabulary, features, tuple(self._warnings(vocabulary, pairs)))

    def _warnings(self, vocabulary: Vocabulary, pairs: list[tuple[int, int]]) -> list[str]:
        warnings = []
        first: dict[int, int] = {}
        for label, index in pairs:
            owner = first.setdefault(label, index)
            if owner != index:
                warnings.append(
                    f"{quoted(vocabulary.names[owner])} and {quoted(vocabulary.names[index])} are one label to "
                    f"{self.model}, {quoted(self._names.labels[label])}; the first gets it where it "
                    "reaches its threshold"
                )
        return warnings

    def _segment(
        self, batch: Batch, encoded: EncodedVocabulary[SegFormerFeatures]
    ) -> list[Segmentation]:
        with stage("prepare"):
            pixels = prepare(
                batch.images,
                self._input_size,
                self._mean,
                self._std,
                self._dtype,
                self._format.resample,
            )
        with stage("encode"):
            logits = self.logits(pixels)
        with stage("finish"):
            return [
                _post_process(image_logits, size, batch, encoded)
                for image_logits, size in zip(logits, batch.sizes, strict=True)
            ]

    @torch.inference_mode()
    def logits(self, pixel_values: Tensor) -> Tensor:
        """Compute logits (B, L, H / 4, W / 4) float32 of all labels of prepared images (B, 3, H, W)."""
        return self._forward(pixel_values).float()


def _least_side(config: SegformerConfig) -> int:
    """Return the side of an image of which each stage's attention, which reduces its resolution, sees a pixel."""
    strides = itertools.accumulate(config.strides, operator.mul)
    return max(int(a * b) for a, b in zip(strides, config.sr_ratios, strict=True))


def _post_process(
    logits: Tensor,
    size: tuple[int, int],
    batch: Batch,
    encoded: EncodedVocabulary[SegFormerFeatures],
) -> Segmentation:
    vocabulary, features = encoded.vocabulary, encoded.features
    best = _best_label(logits, size)
    winners = set(np.flatnonzero(np.bincount(best.ravel())).tolist())
    # `decode` needs at least one channel, which may be empty.
    present = [i for i, label in enumerate(features.labels) if label + 1 in winners] or [0]
    labels = torch.tensor([features.labels[i] for i in present], device=logits.device)
    classes = [features.class_of_label[i] for i in present]
    odds = functional.interpolate(_log_odds(logits, labels)[None], size, mode="bilinear")[0]
    is_best = torch.from_numpy(best).to(logits.device) == labels[:, None, None] + 1
    odds.masked_fill_(~is_best, -torch.inf)
    thresholds = batch.thresholds[classes].clip(min=_LEAST_THRESHOLD)
    return decode(odds, size, thresholds, vocabulary.label_ids.of_classes(classes))


def _best_label(logits: Tensor, size: tuple[int, int]) -> NDArray[np.int16]:
    """Compute the arg-max label (H, W) of logits (L, h, w) resized to `size`, bilinearly.

    Labels are counted from 1 here; 0 is none, where logits are NaN.
    """
    labels = _labels_that_can_win(logits)
    numbers = (labels + 1).tolist()
    no_thresholds = np.zeros(len(numbers), np.float32)
    winner = decode(logits[labels], size, no_thresholds, LabelIds.of(numbers))
    return winner.label.astype(np.int16)


def _labels_that_can_win(logits: Tensor) -> Tensor:
    """List the labels (C,) that can have the highest of logits (L, h, w) at any pixel of any resized image.

    A resized logit lies between the lowest and the highest of its four neighbours, so that a label whose highest is
    below another's lowest cannot win there. Labels that win nowhere need not be resized, which saves most of the time.
    """
    highest = _over_neighbours(torch.maximum, logits)
    lowest = _over_neighbours(torch.minimum, logits)
    return (highest >= lowest.amax(dim=0)).flatten(1).any(dim=1).nonzero()[:, 0]


def _over_neighbours(extreme: Callable[[Tensor, Tensor], Tensor], logits: Tensor) -> Tensor:
    """Reduce each four neighbours of (L, h, w) to (L, h - 1, w - 1), at least 1; far faster than pooling on a CPU."""
    for dim in (1, 2):
        count = max(1, logits.shape[dim] - 1)
        first = logits.narrow(dim, 0, count)
        logits = extreme(first, logits.narrow(dim, logits.shape[dim] - count, count))
    return logits


def _log_odds(logits: Tensor, labels: Tensor) -> Tensor:
    """Compute log p / (1 - p), (P, h, w), of the softmax probabilities p of `labels` from logits (L, h, w)."""
    log_p = (logits[labels] - logits.logsumexp(dim=0)).clamp(max=_MAX_LOG_PROBABILITY)
    return log_p - torch.log(-torch.expm1(log_p))
