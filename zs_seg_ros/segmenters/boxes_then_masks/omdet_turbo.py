# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""OmDet-Turbo: phrases to boxes in real time (Zhao et al. 2024, arXiv 2403.06892).

It loads any checkpoint of transformers' `OmDetTurboForObjectDetection`, such as omlab/omdet-turbo-swin-tiny-hf. The
image encoder of that one is of the package timm, which other checkpoints do not need.

As in its training, the model encodes a task besides each phrase: "Detect blue car, red mug.". So a phrase's scores
depend a little on which others are in its task, though not on their order. A task holds 77 tokens, about 20 phrases
of two or three words. More phrases are split into several tasks, each of which runs the decoder again; transformers'
processor truncates the task instead.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from transformers import OmDetTurboForObjectDetection
from transformers.models.detr.image_processing_pil_detr import DetrImageProcessorPil

from zs_seg_ros.errors import ModelError, VocabularyError
from zs_seg_ros.segmenters.boxes_then_masks.boxes import Boxes
from zs_seg_ros.segmenters.boxes_then_masks.captions import split_into_captions
from zs_seg_ros.segmenters.boxes_then_masks.detr_detector import DetrDetector
from zs_seg_ros.segmenters.boxes_then_masks.detr_images import (
    DetrFormat,
    load_detr_format,
    to_corners,
)
from zs_seg_ros.segmenters.boxes_then_masks.omdet_turbo_network import decode, keep_anchors
from zs_seg_ros.segmenters.engines.parts import Exportable, NetworkPart, Run, image_encoder
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.shared.compiled import Compiled
from zs_seg_ros.segmenters.shared.pretrained import load_model
from zs_seg_ros.segmenters.shared.prompt_cache import PromptCache
from zs_seg_ros.segmenters.shared.prompt_tokenizer import load_clip_tokenizer, padded
from zs_seg_ros.shown import quoted

_DEFAULT_FORMAT = DetrFormat((640, 640))  # of the published file
_NMS_IOU = 0.5  # of non-maximum suppression between the boxes of one phrase: transformers' default
_IMAGES_PER_BATCH = 8  # on a GPU; bounds the memory
_TASKS_KEPT = 64  # 0.2 MB each


@dataclass(frozen=True, eq=False)
class Task:
    """Phrases that go through the decoder together.

    classes: (C, 1, D) float32, one embedding per phrase, without duplicates. sentence: (T, 1, D) float32, the
    embeddings of the task's tokens. columns: (P,) int64, the index of each phrase in `classes`. prompt_index: (P,)
    int64, the index of each phrase among all. These two are on the CPU.
    """

    classes: Tensor
    sentence: Tensor
    columns: Tensor
    prompt_index: Tensor


class OmDetTurboDetector(DetrDetector[Task], Exportable):
    """OmDet-Turbo from a checkpoint folder in the format of transformers.

    Overlapping boxes of one phrase go through non-maximum suppression.

    Image and text encoder run in the chosen precision. The later layers keep float32 weights and compute their matrix
    products in that precision (autocast), since coordinates 0..1 in bfloat16 would be off by four pixels of 1280.
    """

    def __init__(self, model: str, folder: Path, options: LoadOptions) -> None:
        super().__init__("omdet-turbo", model, options, _IMAGES_PER_BATCH)
        loaded = load_model(OmDetTurboForObjectDetection, model, folder, torch.float32)
        self._tokenizer = load_clip_tokenizer(model, folder, loaded.config.text_config)
        self._tasks = PromptCache[tuple[str, ...], tuple[Tensor, Tensor]](_TASKS_KEPT)
        self._format = load_detr_format(DetrImageProcessorPil, model, folder, _DEFAULT_FORMAT)
        self.network = loaded.to(self._device)
        self.network.vision_backbone.to(self._dtype)
        self.network.language_backbone.to(self._dtype)
        keep_anchors(self.network.decoder)
        self._backbone: Callable[[Tensor], list[Tensor]] = self.network.vision_backbone
        if options.compile:
            self._backbone = Compiled(self.network.vision_backbone, dynamic=False)
        self._encode: Callable[[Tensor], list[Tensor]] = self._maps

    @torch.inference_mode()
    def encode(self, prompts: Sequence[str]) -> tuple[Task, ...]:
        """Join phrases to tasks and encode those that the cache does not hold yet.

        Raises VocabularyError for a phrase that is too long for a task.
        """
        for prompt in prompts:
            if not self._fits([prompt]):
                raise VocabularyError(
                    f"the phrase {quoted(prompt, 60)} is too long: in its task it has "
                    f"{len(self._tokenizer.tokens(_sentence([prompt])))} tokens and {self.model} reads at most "
                    f"{self._tokenizer.longest}; say it in fewer words"
                )
        # Sorted, so that neither tasks nor scores depend on the order of the phrases.
        tasks = split_into_captions(sorted(set(prompts)), self._fits)
        embeddings = self._tasks.get([tuple(in_task) for in_task in tasks], self._encode_tasks)
        return tuple(
            _task(in_task, prompts, classes, sentence)
            for in_task, (classes, sentence) in zip(tasks, embeddings, strict=True)
        )

    @torch.inference_mode()
    def encode_images(self, pixels: Tensor) -> list[Tensor]:
        """Encode normalised images, (B, 3, height, width), to feature maps (B, D, h, w) of several resolutions."""
        with self._autocast():
            return self._encode(pixels)

    def _maps(self, pixels: Tensor) -> list[Tensor]:
        maps: list[Tensor] = self.network.encoder(
            self._backbone(pixels), return_dict=True
        ).extracted_states
        return maps

    def network_parts(self) -> tuple[NetworkPart, ...]:
        """Return the image encoder. Raises ModelError where the sizes of its images differ."""
        if self._format.keep_shape:
            raise ModelError(
                f"the preprocessor of {self.model} keeps the shape of images, and an export has one size; use engine "
                "torch"
            )
        network = self.network
        return (
            image_encoder(
                "omdet_turbo_image_encoder",
                lambda pixels: tuple(self._maps(pixels)),
                nn.ModuleList([network.vision_backbone, network.encoder]),
                self._format.size,
                tuple(f"level{level}" for level in range(network.config.num_feature_levels)),
                self._encode_with,
            ),
        )

    def _encode_with(self, run: Run) -> None:
        self._encode = lambda pixels: list(run(pixels))

    @torch.inference_mode()
    def logits_and_boxes(self, features: list[Tensor], text: Task) -> tuple[Tensor, Tensor]:
        """Return logits (B, Q, C), and boxes (B, Q, 4) as centre, width and height in 0..1, both float32."""
        count = len(features[0])
        with self._autocast():
            logits, boxes = decode(
                self.network.decoder,
                [level.float() for level in features],
                text.classes.expand(-1, count, -1),
                text.sentence.expand(-1, count, -1),
            )
        return logits.float(), boxes.float()

    def _scores(self, logits: Tensor, text: Task) -> Tensor:
        return logits.sigmoid()

    def _postprocess(
        self,
        outputs: Sequence[tuple[Tensor, Tensor]],
        texts: Sequence[Task],
        thresholds: Tensor,
        size: tuple[int, int],
    ) -> Boxes:
        """Apply the thresholds, and non-maximum suppression to the boxes of each phrase."""
        detections = []
        for (of_task, boxes), task in zip(outputs, texts, strict=True):
            corners, scores = to_corners(boxes, size), of_task[:, task.columns]
            for column, prompt in enumerate(task.prompt_index.tolist()):
                chosen = (scores[:, column] >= thresholds[prompt]).nonzero()[:, 0]
                kept = chosen[without_overlaps(corners[chosen], scores[chosen, column], _NMS_IOU)]
                detections.append(
                    Boxes(corners[kept], scores[kept, column], torch.full_like(kept, prompt))
                )
        return Boxes(
            torch.cat([boxes.corners for boxes in detections]),
            torch.cat([boxes.scores for boxes in detections]),
            torch.cat([boxes.prompt_index for boxes in detections]),
        )

    def _encode_tasks(self, tasks: Sequence[Sequence[str]]) -> list[tuple[Tensor, Tensor]]:
        return [self._encode_task(prompts) for prompts in tasks]

    def _encode_task(self, prompts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Return `Task.classes`, in the order of the phrases, and `Task.sentence`."""
        tokens = [self._tokenizer.tokens(prompt) for prompt in prompts]
        # The attention of the text encoder is causal, so that padding after the end of a phrase needs no mask.
        ids = padded(tokens, self._tokenizer.end)
        text = self.network.language_backbone
        hidden = text.model(ids.to(self._device)).last_hidden_state
        last = [len(row) - 1 for row in tokens]
        classes = hidden[range(len(tokens)), last] @ text.text_projection
        task = torch.tensor([self._tokenizer.tokens(_sentence(prompts))], device=self._device)
        sentence = text.model(task).last_hidden_state
        return classes[:, None].float(), sentence.transpose(0, 1).float()

    def _fits(self, prompts: Sequence[str]) -> bool:
        return len(self._tokenizer.tokens(_sentence(prompts))) <= self._tokenizer.longest

    def _autocast(self) -> torch.autocast:
        half = self._dtype != torch.float32
        return torch.autocast(self._device.type, self._dtype, enabled=half)


def _sentence(prompts: Sequence[str]) -> str:
    """Return the task of phrases as the authors and transformers' processor write it."""
    return f"Detect {', '.join(prompts)}."


def _task(
    in_task: Sequence[str], prompts: Sequence[str], classes: Tensor, sentence: Tensor
) -> Task:
    """Locate the phrases of a task. in_task: without duplicates; prompts: all phrases, perhaps with duplicates."""
    indices = [index for index, prompt in enumerate(prompts) if prompt in in_task]
    columns = [in_task.index(prompts[index]) for index in indices]
    return Task(classes, sentence, torch.tensor(columns), torch.tensor(indices))


def without_overlaps(boxes: Tensor, scores: Tensor, most: float) -> Tensor:
    """Return the indices of the boxes that non-maximum suppression keeps, in falling order of score.

    boxes: (N, 4), left, top, right, bottom. scores: (N,). A box whose IoU with a kept box is above `most` is dropped.
    """
    order = scores.argsort(descending=True, stable=True)
    boxes = boxes[order]
    shared = torch.minimum(boxes[:, None, 2:], boxes[None, :, 2:]) - torch.maximum(
        boxes[:, None, :2], boxes[None, :, :2]
    )
    intersection = shared.clamp(min=0).prod(dim=2)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1)
    union = areas[:, None] + areas[None] - intersection
    rivals = (intersection > most * union).numpy()
    kept = np.ones(len(order), bool)
    for i in range(len(order)):
        if kept[i]:
            kept[i + 1 :] &= ~rivals[i, i + 1 :]
    return order[torch.from_numpy(kept)]
