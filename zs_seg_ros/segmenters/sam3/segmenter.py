# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""SAM 3: text to instance masks in one model (Carion et al. 2025, "SAM 3: Segment Anything with Concepts").

It loads checkpoints of transformers' `Sam3Model`, such as the detector in facebook/sam3, whose video tracker is left
out, and of `Sam3LiteTextModel`, which has a smaller text encoder, such as yonigozlan/sam3-litetext-s0.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

# `transformers` itself refuses to import them without torchvision, which only box prompts need.
from transformers.models.sam3.modeling_sam3 import Sam3Model
from transformers.models.sam3_lite_text.modeling_sam3_lite_text import Sam3LiteTextModel
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from zs_seg_ros.segmenters.base import EncodedVocabulary
from zs_seg_ros.segmenters.deadline import check_time
from zs_seg_ros.segmenters.engines.parts import Exportable, NetworkPart
from zs_seg_ros.segmenters.kept_images import encoded_once, keep_encoding
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.sam3.canvas import ExampleStrip, example_strip
from zs_seg_ros.segmenters.sam3.detections import Detections, Presence
from zs_seg_ros.segmenters.sam3.examples import below_strip, detect_like, masks_below_strip
from zs_seg_ros.segmenters.sam3.features import Sam3Features
from zs_seg_ros.segmenters.sam3.network import (
    ImageFeatures,
    Sam3Network,
    TextFeatures,
    resize_positions,
)
from zs_seg_ros.segmenters.shared.device import choose_device, choose_precision, precision_name
from zs_seg_ros.segmenters.shared.image_tensors import prepare
from zs_seg_ros.segmenters.shared.input_size import choose_input_size
from zs_seg_ros.segmenters.shared.instances import (
    Instances,
    confident,
    pending_instances,
)
from zs_seg_ros.segmenters.shared.pretrained import (
    ImageFormat,
    load_image_format,
    load_model,
)
from zs_seg_ros.segmenters.shared.prompt_cache import PromptCache
from zs_seg_ros.segmenters.shared.prompt_tokenizer import load_clip_tokenizer, padded
from zs_seg_ros.segmenters.shared.prompts import flat_prompts, similarity_warnings
from zs_seg_ros.segmenters.shared.stages import stage
from zs_seg_ros.segmenters.shared.torch_segmenter import TorchSegmenter
from zs_seg_ros.segmenters.shared.transfers import Pending, downloaded, finished, with_presence
from zs_seg_ros.types import Batch, RgbImage, Segmentation
from zs_seg_ros.vocabulary.vocabulary import TargetClass, Vocabulary

# The values of the authors' training and of the published processor_config.json.
_MEAN = _STD = (0.5, 0.5, 0.5)

_TOKENS = 32
"""Tokens per phrase, start and end included; shorter phrases are padded to it, as by transformers' Sam3Processor."""

_VISUAL = "visual"
"""The text that goes with boxes around examples, as in transformers' Sam3Processor."""

_PROMPTS_KEPT = 512  # 32 KB each

_SAME_MEANING = 0.999
"""Cosine of the embeddings of two phrases from which on a warning says that they mean the same. It was not measured on
published weights; so high are only phrases of (nearly) the same words."""

_MAX_INSTANCES = 300
"""Instances per image; those of highest score are kept. It bounds time and memory where a threshold is too low."""


class _Images(ViTImageProcessorPil):  # type: ignore[misc]
    """The defaults of SAM 3's own processor, which needs torchvision."""

    image_mean = _MEAN
    image_std = _STD
    size: ClassVar[dict[str, int]] = {"height": 1008, "width": 1008}


class Sam3Segmenter(TorchSegmenter[Sam3Features], Exportable):
    """SAM 3 from a checkpoint folder in the format of transformers, with or without the weights of the tracker."""

    takes_input_size = True
    prompts_are_independent = True
    _kind: ClassVar[type[PreTrainedModel]] = Sam3Model

    def __init__(self, model: str, folder: Path, options: LoadOptions) -> None:
        self.model = model
        device = choose_device(options.device)
        self.device = str(device)
        self._dtype = choose_precision(options, device, "sam3")
        self.precision = precision_name(self._dtype)
        loaded = load_model(self._kind, model, folder, self._dtype)
        self._tokenizer = load_clip_tokenizer(model, folder, loaded.config.text_config, _TOKENS)
        self._prompts = PromptCache[str, TextFeatures](_PROMPTS_KEPT)
        side: int = loaded.config.image_size
        default = ImageFormat((side, side), _MEAN, _STD)
        self._format = load_image_format(_Images, model, folder, default)
        self._check(loaded)
        patch: int = loaded.config.vision_config.backbone_config.patch_size
        self._input_size = choose_input_size(
            model, options.inference_size, self._format.size, multiple=patch, least=8 * patch
        )
        if self._input_size != self._format.size:
            resize_positions(loaded, self._input_size[0])
        self.network = Sam3Network(loaded.to(device), options.compile)
        self._mean = torch.tensor(self._format.mean, device=device)
        self._std = torch.tensor(self._format.std, device=device)

    def _check(self, loaded: PreTrainedModel) -> None:
        """Raise ModelError when the parts of the checkpoint do not fit together."""
        self._format.check_square(loaded.config.image_size, self.model)

    @torch.inference_mode()
    def encode(self, vocabulary: Vocabulary) -> EncodedVocabulary[Sam3Features]:
        """Encode each phrase of a vocabulary that the cache does not hold yet.

        Raises VocabularyError for a phrase that is longer than the model accepts.
        """
        flat = flat_prompts(vocabulary)
        prompts = tuple(self._prompts.get(flat.prompts, self._encode_prompts))
        shown = [index for index, target in enumerate(vocabulary.classes) if target.exemplars]
        strips = tuple(self._strip(vocabulary.classes[index]) for index in shown)
        features = Sam3Features(
            prompts,
            strips,
            self._prompts.get([_VISUAL], self._encode_prompts)[0] if strips else None,
            (*flat.class_of_prompt, *shown),
            flat.is_negative + (False,) * len(strips),
        )
        if not prompts:
            return EncodedVocabulary(vocabulary, features)
        embeddings = TextFeatures.joined(prompts).mean()[flat.positives]
        classes = tuple(flat.class_of_prompt[row] for row in flat.positives)
        warnings = similarity_warnings(vocabulary, classes, embeddings, _SAME_MEANING)
        return EncodedVocabulary(vocabulary, features, tuple(warnings))

    def _strip(self, target: TargetClass) -> ExampleStrip:
        patch: int = self.network.model.config.vision_config.backbone_config.patch_size
        return example_strip(target.exemplars, self._input_size[0], patch, self._prepare)

    def _prepare(self, image: RgbImage, size: tuple[int, int]) -> Tensor:
        pixels = prepare([image], size, self._mean, self._std, self._dtype, self._format.resample)
        return pixels[0]

    def _encode_prompts(self, prompts: Sequence[str]) -> list[TextFeatures]:
        tokens = [self._tokenizer.prompt(prompt) for prompt in prompts]
        ids = padded(tokens, self._tokenizer.end, _TOKENS)
        lengths = torch.tensor([len(ids_of_prompt) for ids_of_prompt in tokens])
        present = torch.arange(_TOKENS) < lengths[:, None]
        return self.network.encode_text(ids.to(self.device), present.to(self.device))

    def _segment(
        self, batch: Batch, encoded: EncodedVocabulary[Sam3Features]
    ) -> list[Segmentation]:
        features = encoded_once(self, batch.images, lambda: self._encode_images(batch.images))
        for image, of_image in zip(batch.images, features, strict=True):
            if of_image.states is not None:
                keep_encoding(self.network, image, of_image.states)
        results = [
            self._decode(features[i], batch.images[i], size, batch.thresholds, encoded)
            for i, size in enumerate(batch.sizes)
        ]
        with stage("finish"):
            return finished(results)

    def network_parts(self) -> tuple[NetworkPart, ...]:
        """Return the image encoder, at the model's input size."""
        return (self.network.part(self._input_size),)

    def _encode_images(self, images: Sequence[RgbImage]) -> list[ImageFeatures]:
        with stage("prepare"):
            resample = self._format.resample
            pixels = prepare(images, self._input_size, self._mean, self._std, self._dtype, resample)
        with stage("encode"):
            return self.network.encode_images(pixels)

    def _decode(
        self,
        features: ImageFeatures,
        image: RgbImage,
        size: tuple[int, int],
        thresholds: NDArray[np.float32],
        encoded: EncodedVocabulary[Sam3Features],
    ) -> Pending:
        presence = Presence()
        with stage("decode"):
            instances = self._instances(features, image, encoded.features, thresholds, presence)
        with stage("finish"):
            vocabulary = encoded.vocabulary
            result = pending_instances(
                instances, size, thresholds, vocabulary.label_ids, vocabulary.precedence
            )
            of_ids = {vocabulary.ids[index]: score for index, score in presence.scores.items()}
            return with_presence(result, of_ids)

    def _instances(
        self,
        features: ImageFeatures,
        image: RgbImage,
        text: Sam3Features,
        thresholds: NDArray[np.float32],
        presence: Presence,
    ) -> Instances:
        """Detect and cut out the objects of all classes; several phrases of a class yield an object once.

        presence: gets that of all classes with phrases. An example is on the canvas itself, which its presence says.
        """
        detections: Detections | None = None
        steps = range(0, len(text.prompts), self.network.prompts_per_batch)
        batches = [
            partial(self._detect, features, text, start, thresholds, presence) for start in steps
        ]
        strips = range(len(text.strips))
        batches += [partial(self._detect_like, image, text, index, thresholds) for index in strips]
        for detect in batches:
            check_time()
            batch = detect()
            detections = batch if detections is None else detections.joined(batch)
            detections = detections.most_confident(_MAX_INSTANCES, text.is_negative)
        assert detections is not None, "a vocabulary with classes has phrases or examples"
        if any(text.is_negative):
            detections = detections.without_negatives(text.is_negative)
        if len(set(text.class_of_prompt)) < len(text.class_of_prompt):
            detections = detections.without_duplicates()
        return Instances(detections.masks, detections.scores, detections.class_index, inside=0.5)

    def _detect(
        self,
        image: ImageFeatures,
        text: Sam3Features,
        start: int,
        thresholds: NDArray[np.float32],
        presence: Presence,
    ) -> Detections:
        """Detect and cut out the objects of one batch of phrases, which begins with the index `start`."""
        # Classes of examples are behind those of the phrases.
        batch = slice(start, min(start + self.network.prompts_per_batch, len(text.prompts)))
        candidates = self.network.detect(image, TextFeatures.joined(text.prompts[batch]))
        scores, boxes, present = downloaded(
            [candidates.scores, candidates.boxes, candidates.presence]
        )
        presence.add(present, text.class_of_prompt[batch], text.is_negative[batch])
        classes = torch.tensor(text.class_of_prompt[batch])
        class_of_query = classes[:, None].expand_as(scores).flatten()
        chosen = confident(scores.flatten(), class_of_query, thresholds)
        queries = scores.shape[1]
        prompt, query = chosen // queries, chosen % queries
        return Detections(
            masks=self.network.masks(image, candidates, prompt, query),
            boxes=boxes[prompt, query],
            scores=scores[prompt, query],
            prompt_index=prompt + start,
            class_index=classes[prompt],
        )

    def _detect_like(
        self, image: RgbImage, text: Sam3Features, index: int, thresholds: NDArray[np.float32]
    ) -> Detections:
        """Detect and cut out the objects that are like the examples of one class, those of `text.strips[index]`."""
        strip, prompt = text.strips[index], len(text.prompts) + index
        assert text.visual is not None
        [canvas] = self.network.encode_images(strip.above(image, self._prepare)[None])
        candidates = detect_like(self.network, canvas, strip.boxes, text.visual)
        of_queries, corners = downloaded([candidates.scores, candidates.boxes])
        below, boxes = below_strip(corners[0], strip.share)
        scores = of_queries[0, below]
        class_index = torch.full_like(below, text.class_of_prompt[prompt])
        chosen = confident(scores, class_index, thresholds)
        masks = self.network.masks(
            canvas, candidates, torch.zeros_like(below[chosen]), below[chosen]
        )
        return Detections(
            masks=masks_below_strip(masks, strip.share),
            boxes=boxes[chosen],
            scores=scores[chosen],
            prompt_index=torch.full_like(chosen, prompt),
            class_index=class_index[chosen],
        )


class Sam3LiteTextSegmenter(Sam3Segmenter):
    """SAM 3 with the smaller text encoder of SAM 3 LiteText."""

    _kind = Sam3LiteTextModel
