"""SegFormer: the closed-set comparison (Xie et al. 2021, arXiv 2105.15203).

Any checkpoint of transformers' `SegformerForSemanticSegmentation`, such as
nvidia/segformer-b0-finetuned-ade-512-512. It takes no words but its own labels.

transformers resizes the logits of all labels to the image, bilinearly, and gives each pixel the highest. Here a pixel
belongs to a class when that same label is one of the class's and its probability among all labels of the model
reaches the threshold. So a class never depends on which others are listed. The probability is the softmax's, as
log odds at the model's own resolution and resized like the logits: between two labels that is the softmax of the
resized logits; where more meet it is less, never more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from transformers import SegformerForSemanticSegmentation
from transformers.models.segformer.image_processing_pil_segformer import SegformerImageProcessorPil

from zs_seg_ros.errors import ModelError
from zs_seg_ros.segmenters.base import EncodedVocabulary
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.segformer.label_names import LabelNames
from zs_seg_ros.segmenters.segformer.network import SegFormerNetwork
from zs_seg_ros.segmenters.shared.device import choose_device, choose_precision
from zs_seg_ros.segmenters.shared.image_tensors import prepare
from zs_seg_ros.segmenters.shared.label_image import decode
from zs_seg_ros.segmenters.shared.pretrained import ImageFormat, load_image_format, load_model
from zs_seg_ros.segmenters.shared.prompts import refuse_exemplars
from zs_seg_ros.segmenters.shared.stages import stage
from zs_seg_ros.segmenters.shared.torch_segmenter import TorchSegmenter
from zs_seg_ros.types import Batch, RgbImage, Segmentation, size_of
from zs_seg_ros.vocabulary.vocabulary import LabelIds, Vocabulary

# ImageNet's mean and deviation, as in the published preprocessor_config.json.
_DEFAULT_FORMAT = ImageFormat((512, 512), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))

_NEAR_CERTAINTY = -1e-7  # log probability; at 0 the log odds are infinite and spread when resized
_LEAST_THRESHOLD = 1e-6  # at 0 a class would get the pixels of all other labels too


@dataclass(frozen=True)
class SegFormerFeatures:
    """labels[i] of the model belongs to the class with index class_of_label[i]; a class may have several."""

    labels: tuple[int, ...]
    class_of_label: tuple[int, ...]


class SegFormerSegmenter(TorchSegmenter[SegFormerFeatures]):
    """A SegFormer checkpoint from a folder in the format of transformers."""

    def __init__(self, model: str, folder: Path, options: LoadOptions) -> None:
        self.model = model
        device = choose_device(options.device)
        self.device = str(device)
        self._dtype = choose_precision(options, device)
        loaded = load_model(SegformerForSemanticSegmentation, model, folder, self._dtype)
        self._names = LabelNames(model, folder, loaded.config.id2label)
        self.only_names = tuple(dict.fromkeys(self._names.labels.values()))
        self._format = load_image_format(SegformerImageProcessorPil, model, folder, _DEFAULT_FORMAT)
        if not loaded.config.reshape_last_stage:
            raise ModelError(
                f"{model} has reshape_last_stage false in its config.json, which is for classifying whole images; "
                "give a checkpoint that was made for segmentation"
            )
        self.network = SegFormerNetwork(loaded).to(device)
        self._forward = torch.compile(self.network) if options.compile else self.network
        self._mean = torch.tensor(self._format.mean, device=device)
        self._std = torch.tensor(self._format.std, device=device)

    def encode(self, vocabulary: Vocabulary) -> EncodedVocabulary[SegFormerFeatures]:
        """Raises VocabularyError for a phrase that is not among the model's labels, and lists those."""
        refuse_exemplars(vocabulary, self.model)
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
                    f"{vocabulary.names[owner]!r} and {vocabulary.names[index]!r} are one label to {self.model}, "
                    f"{self._names.labels[label]!r}; the first gets it where it reaches its threshold"
                )
        return warnings

    def _segment(
        self, batch: Batch, encoded: EncodedVocabulary[SegFormerFeatures]
    ) -> list[Segmentation]:
        with stage("prepare"):
            pixels = prepare(batch.images, self._format.size, self._mean, self._std, self._dtype)
        with stage("encode"):
            logits = self.logits(pixels)
        with stage("finish"):
            return [
                _finish(one, image, batch, encoded)
                for one, image in zip(logits, batch.images, strict=True)
            ]

    @torch.inference_mode()
    def logits(self, pixel_values: Tensor) -> Tensor:
        """Prepared images (B, 3, H, W) to logits (B, L, H / 4, W / 4) float32 of all labels of the model."""
        logits: Tensor = self._forward(pixel_values)
        return logits.float()


def _finish(
    logits: Tensor, image: RgbImage, batch: Batch, encoded: EncodedVocabulary[SegFormerFeatures]
) -> Segmentation:
    vocabulary, features, size = encoded.vocabulary, encoded.features, size_of(image)
    best = _best_label(logits, size)
    seen = set(np.flatnonzero(np.bincount(best.ravel())).tolist())
    # `decode` wants one channel at least, be it empty, for it knows which type a label image has.
    present = [i for i, label in enumerate(features.labels) if label + 1 in seen] or [0]
    labels = torch.tensor([features.labels[i] for i in present], device=logits.device)
    classes = [features.class_of_label[i] for i in present]
    odds = functional.interpolate(_log_odds(logits, labels)[None], size, mode="bilinear")[0]
    belongs = torch.from_numpy(best).to(logits.device) == labels[:, None, None] + 1
    odds.masked_fill_(~belongs, -torch.inf)
    thresholds = batch.thresholds[classes].clip(min=_LEAST_THRESHOLD)
    return decode(odds, size, thresholds, vocabulary.label_ids.of_classes(classes))


def _best_label(logits: Tensor, size: tuple[int, int]) -> NDArray[np.int16]:
    """(L, h, w) resized to `size`, bilinearly, and (H, W) of the labels with the highest logit.

    Labels are counted from 1 here; 0 is none, where logits are no numbers.
    """
    labels = _labels_that_can_win(logits)
    numbers = (labels + 1).tolist()
    everything = np.zeros(len(numbers), np.float32)
    winner = decode(logits[labels], size, everything, LabelIds.of(numbers))
    return winner.label.astype(np.int16)


def _labels_that_can_win(logits: Tensor) -> Tensor:
    """(L, h, w) to the numbers (C,) of the labels that have the highest logit anywhere, resized to whatever size.

    A resized logit lies between the lowest and the highest of its four neighbours, so that a label whose highest is
    below another's lowest cannot win there. The others need not be resized, which is most of the work.
    """
    highest, lowest = _of_four(torch.maximum, logits), _of_four(torch.minimum, logits)
    return (highest >= lowest.amax(dim=0)).flatten(1).any(dim=1).nonzero()[:, 0]


def _of_four(extreme: Callable[[Tensor, Tensor], Tensor], logits: Tensor) -> Tensor:
    """(L, h, w) to (L, h - 1, w - 1), at least 1: of each four neighbours. Far faster than max pooling on a CPU."""
    for dim in (1, 2):
        count = max(1, logits.shape[dim] - 1)
        first = logits.narrow(dim, 0, count)
        logits = extreme(first, logits.narrow(dim, logits.shape[dim] - count, count))
    return logits


def _log_odds(logits: Tensor, labels: Tensor) -> Tensor:
    """(L, h, w) to (P, h, w): log p / (1 - p) of the softmax probabilities of `labels`."""
    log_p = (logits[labels] - logits.logsumexp(dim=0)).clamp(max=_NEAR_CERTAINTY)
    return log_p - torch.log(-torch.expm1(log_p))
