"""SAM 3: words to instance masks in one model (Carion et al. 2025, "SAM 3: Segment Anything with Concepts").

Checkpoints of transformers' `Sam3Model`, such as the detector in facebook/sam3, whose tracker of videos is left out,
and of `Sam3LiteTextModel`, which has a smaller text encoder, such as yonigozlan/sam3-litetext-s0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

# Not from `transformers` itself: that refuses them without torchvision, which only prompts with boxes need.
from transformers.models.sam3.modeling_sam3 import Sam3Model
from transformers.models.sam3_lite_text.modeling_sam3_lite_text import Sam3LiteTextModel
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from zs_seg_ros.errors import ModelError
from zs_seg_ros.segmenters.base import EncodedVocabulary
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.sam3.network import ImageFeatures, Sam3Network, TextFeatures
from zs_seg_ros.segmenters.shared.device import choose_device, choose_precision
from zs_seg_ros.segmenters.shared.image_tensors import prepare
from zs_seg_ros.segmenters.shared.instances import (
    Instances,
    confident,
    decode_instances,
    without_duplicates,
)
from zs_seg_ros.segmenters.shared.pretrained import (
    ImageFormat,
    load_image_format,
    load_model,
)
from zs_seg_ros.segmenters.shared.prompt_cache import PromptCache
from zs_seg_ros.segmenters.shared.prompt_tokenizer import load_clip_tokenizer, padded
from zs_seg_ros.segmenters.shared.prompts import flat_prompts, refuse_exemplars, similarity_warnings
from zs_seg_ros.segmenters.shared.stages import stage
from zs_seg_ros.segmenters.shared.torch_segmenter import TorchSegmenter
from zs_seg_ros.types import Batch, RgbImage, Segmentation, size_of
from zs_seg_ros.vocabulary.vocabulary import Vocabulary

# What the authors trained with, and the published processor_config.json says.
_MEAN = _STD = (0.5, 0.5, 0.5)

_TOKENS = 32
"""Of a phrase, start and end included; shorter ones are filled up to it, as transformers' Sam3Processor does."""

_PROMPTS_KEPT = 512  # 32 KB each

_SAME_MEANING = 0.999
"""Not measured on published weights, which the tests cannot have: this high only (nearly) the same words are."""

_MAX_INSTANCES = 300
"""In one image, the most certain ones: a threshold set too low costs seconds, not minutes and all memory."""


@dataclass(frozen=True, eq=False)
class Sam3Features:
    """phrases: one entry each; class_of_prompt: for each the place of its class in the vocabulary."""

    prompts: tuple[TextFeatures, ...]
    class_of_prompt: tuple[int, ...]


class _Things(NamedTuple):
    """What reaches its threshold. masks: (N, h, w), 0..1; boxes: (N, 4), shares of the image; the others: (N,)."""

    masks: Tensor
    boxes: Tensor
    scores: Tensor
    prompt_index: Tensor
    class_index: Tensor

    def chosen(self, index: Tensor) -> _Things:
        return _Things(*(column[index] for column in self))


class Sam3Segmenter(TorchSegmenter[Sam3Features]):
    """A SAM 3 checkpoint from a folder in the format of transformers, with or without its tracker."""

    _kind: ClassVar[type[PreTrainedModel]] = Sam3Model

    def __init__(self, model: str, folder: Path, options: LoadOptions) -> None:
        self.model = model
        device = choose_device(options.device)
        self.device = str(device)
        self._dtype = choose_precision(options, device)
        loaded = load_model(self._kind, model, folder, self._dtype)
        self._tokenizer = load_clip_tokenizer(model, folder, loaded.config.text_config, _TOKENS)
        self._prompts = PromptCache[str, TextFeatures](_PROMPTS_KEPT)
        side: int = loaded.config.image_size
        default = ImageFormat((side, side), _MEAN, _STD)
        # SAM 3's own processor wants torchvision; for the numbers in its file any processor will do.
        self._format = load_image_format(ViTImageProcessorPil, model, folder, default)
        self._check(loaded)
        self.network = Sam3Network(loaded.to(device), options.compile)
        self._mean = torch.tensor(self._format.mean, device=device)
        self._std = torch.tensor(self._format.std, device=device)

    def _check(self, loaded: PreTrainedModel) -> None:
        """Raise ModelError when the parts of the checkpoint do not fit together."""
        side, (height, width) = loaded.config.image_size, self._format.size
        if (height, width) != (side, side):
            # Its rotary position embeddings are made for one size.
            raise ModelError(
                f"the preprocessor of {self.model} makes images of {width}x{height} and the model takes "
                f"{side}x{side}; fetch the checkpoint again"
            )

    @torch.inference_mode()
    def encode(self, vocabulary: Vocabulary) -> EncodedVocabulary[Sam3Features]:
        """Each phrase through the text encoder, once.

        Raises VocabularyError for a phrase that is longer than the model reads, and for exemplars.
        """
        refuse_exemplars(vocabulary, self.model)
        flat = flat_prompts(vocabulary)
        prompts = tuple(self._prompts.get(flat.prompts, self._encode_prompts))
        features = Sam3Features(prompts, flat.class_of_prompt)
        if not prompts:
            return EncodedVocabulary(vocabulary, features)
        meaning = TextFeatures.joined(prompts).mean()
        warnings = similarity_warnings(vocabulary, flat.class_of_prompt, meaning, _SAME_MEANING)
        return EncodedVocabulary(vocabulary, features, tuple(warnings))

    def _encode_prompts(self, prompts: Sequence[str]) -> list[TextFeatures]:
        read = [self._tokenizer.prompt(prompt) for prompt in prompts]
        ids = padded(read, self._tokenizer.end, _TOKENS)
        lengths = torch.tensor([len(tokens) for tokens in read])
        present = torch.arange(_TOKENS) < lengths[:, None]
        return self.network.encode_text(ids.to(self.device), present.to(self.device))

    def _segment(
        self, batch: Batch, encoded: EncodedVocabulary[Sam3Features]
    ) -> list[Segmentation]:
        with stage("prepare"):
            pixels = prepare(batch.images, self._format.size, self._mean, self._std, self._dtype)
        with stage("encode"):
            read = self.network.encode_images(pixels)
        return [
            self._decode(one, image, batch, encoded)
            for one, image in zip(read, batch.images, strict=True)
        ]

    def _decode(
        self,
        read: ImageFeatures,
        image: RgbImage,
        batch: Batch,
        encoded: EncodedVocabulary[Sam3Features],
    ) -> Segmentation:
        vocabulary = encoded.vocabulary
        with stage("decode"):
            found = self._find(read, encoded.features, batch.thresholds)
        with stage("finish"):
            return decode_instances(found, size_of(image), batch.thresholds, vocabulary.label_ids)

    def _find(
        self, read: ImageFeatures, features: Sam3Features, thresholds: NDArray[np.float32]
    ) -> Instances:
        """Each thing once per class, however many of its phrases fit."""
        things: _Things | None = None
        for start in range(0, len(features.prompts), self.network.prompts_per_batch):
            part = self._search(read, features, start, thresholds)
            if things is not None:
                part = _Things(*map(torch.cat, zip(things, part, strict=True)))
            things = part.chosen(part.scores.argsort(descending=True, stable=True)[:_MAX_INSTANCES])
        assert things is not None, "a vocabulary with classes has phrases"
        if len(set(features.class_of_prompt)) < len(features.class_of_prompt):
            things = _without_duplicates(things)
        return Instances(things.masks, things.scores, things.class_index, inside=0.5)

    def _search(
        self,
        read: ImageFeatures,
        features: Sam3Features,
        start: int,
        thresholds: NDArray[np.float32],
    ) -> _Things:
        """As many phrases as go at once, from the one with the index `start`."""
        part = slice(start, start + self.network.prompts_per_batch)
        found = self.network.search(read, TextFeatures.joined(features.prompts[part]))
        classes = torch.tensor(features.class_of_prompt[part], device=found.scores.device)
        class_of_query = classes[:, None].expand_as(found.scores).flatten()
        chosen = confident(found.scores.flatten(), class_of_query, thresholds)
        queries = found.scores.shape[1]
        prompt, query = chosen // queries, chosen % queries
        return _Things(
            masks=self.network.masks(read, found, prompt, query),
            boxes=found.boxes[prompt, query],
            scores=found.scores[prompt, query],
            prompt_index=prompt + start,
            class_index=classes[prompt],
        )


def _without_duplicates(things: _Things) -> _Things:
    kept = without_duplicates(
        things.boxes.cpu().numpy(),
        things.scores.cpu().numpy(),
        things.class_index.tolist(),
        things.prompt_index.tolist(),
    )
    return things.chosen(torch.tensor(kept, dtype=torch.int64, device=things.scores.device))


class Sam3LiteTextSegmenter(Sam3Segmenter):
    """A SAM 3 checkpoint with a small text encoder."""

    _kind = Sam3LiteTextModel
