"""OmDet-Turbo: phrases to boxes in real time (Zhao et al. 2024, arXiv 2403.06892).

Any checkpoint of transformers' `OmDetTurboForObjectDetection`, such as omlab/omdet-turbo-swin-tiny-hf. Its image
encoder is one of the package timm, which needs torchvision; only such a checkpoint needs them.

Besides each phrase the model reads a task, "Detect blue car, red mug.", as it was trained, and so a phrase's scores
depend a little on which others are in its task, though not on their order. A task holds 77 tokens, about 20 phrases
of two or three words. More phrases make more tasks, each of which runs the decoder again; transformers' processor cuts
the task off instead.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import OmDetTurboConfig, OmDetTurboForObjectDetection
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
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.shared.pretrained import load_model
from zs_seg_ros.segmenters.shared.prompt_cache import PromptCache
from zs_seg_ros.segmenters.shared.prompt_tokenizer import load_clip_tokenizer, padded

_DEFAULT_FORMAT = DetrFormat((640, 640))  # the published file's
_SAME_OBJECT = 0.5
"""Of two boxes of one phrase that overlap more (IoU) only the more certain is kept: transformers' default."""
_IMAGES_PER_BATCH = 8  # on a GPU; bounds the memory
_TASKS_KEPT = 64  # 0.2 MB each


@dataclass(frozen=True, eq=False)
class Task:
    """Phrases that go through the decoder together.

    classes: (C, 1, D) float32, one embedding per phrase. sentence: (T, 1, D) float32, of the task's tokens. columns:
    of each of P phrases its place among the classes. prompt_index: (P,) int64, the phrases' places among all.
    """

    classes: Tensor
    sentence: Tensor
    columns: Tensor
    prompt_index: Tensor


class OmDetTurboDetector(DetrDetector[Task]):
    """A checkpoint from a folder in the format of transformers.

    Of boxes of one phrase that overlap much only the most certain is kept.

    Image and text encoder work in the chosen precision. What comes after them keeps float32 weights and computes its
    matrix products in that precision (autocast): a place in the image, as 0..1 in bfloat16, would be four pixels of
    1280 off.
    """

    def __init__(self, model: str, folder: Path, options: LoadOptions) -> None:
        super().__init__(model, options, _IMAGES_PER_BATCH)
        _check_timm(model, folder)
        loaded = load_model(OmDetTurboForObjectDetection, model, folder, torch.float32)
        self._tokenizer = load_clip_tokenizer(model, folder, loaded.config.text_config)
        self._tasks = PromptCache[tuple[str, ...], tuple[Tensor, Tensor]](_TASKS_KEPT)
        self._format = load_detr_format(DetrImageProcessorPil, model, folder, _DEFAULT_FORMAT)
        self.network = loaded.to(self._device)
        self.network.vision_backbone.to(self._dtype)
        self.network.language_backbone.to(self._dtype)
        # transformers keeps the last anchors of all decoders, and with them the decoders, for ever.
        decoder = self.network.decoder
        decoder.generate_anchors = partial(type(decoder).generate_anchors.__wrapped__, decoder)
        self._see: Callable[[Tensor], list[Tensor]] = self.network.vision_backbone
        if options.compile:
            self._see = torch.compile(self.network.vision_backbone, dynamic=False)

    @torch.inference_mode()
    def encode(self, prompts: Sequence[str]) -> tuple[Task, ...]:
        """Tasks, and the embeddings of their phrases.

        Raises VocabularyError for a phrase that is too long for a task.
        """
        for prompt in prompts:
            if not self._fits([prompt]):
                raise VocabularyError(
                    f"the phrase {prompt[:60]!r}… is longer than {self.model} reads: with the words around it it has "
                    f"{len(self._tokenizer.tokens(_task([prompt])))} tokens and at most {self._tokenizer.longest} are "
                    "read; say it in fewer words"
                )
        # Sorted, so that neither task nor answers depend on the order of phrases.
        tasks = split_into_captions(sorted(set(prompts)), self._fits)
        read = self._tasks.get([tuple(words) for words in tasks], self._encode_tasks)
        return tuple(
            _task_of(words, prompts, *found) for words, found in zip(tasks, read, strict=True)
        )

    @torch.inference_mode()
    def encode_images(self, pixels: Tensor) -> list[Tensor]:
        """Prepared images (B, 3, height, width) to feature maps (B, D, h, w) of several resolutions."""
        with self._mixed():
            maps: list[Tensor] = self.network.encoder(
                self._see(pixels), return_dict=True
            ).extracted_states
        return maps

    @torch.inference_mode()
    def logits_and_boxes(self, seen: list[Tensor], text: Task) -> tuple[Tensor, Tensor]:
        """Logits (B, Q, C), and boxes (B, Q, 4) as centre, width and height in 0..1, both float32."""
        count = len(seen[0])
        words = torch.ones(count, len(text.sentence), dtype=torch.int64, device=self._device)
        with self._mixed():
            decoded = self.network.decoder(
                [features.float() for features in seen],
                text.classes.expand(-1, count, -1),
                text.sentence.expand(-1, count, -1),
                words,
                return_dict=True,
            )
        return decoded.decoder_classes[-1].float(), decoded.decoder_coords[-1].float()

    def _boxes(
        self,
        answers: Sequence[tuple[Tensor, Tensor]],
        texts: Sequence[Task],
        thresholds: Tensor,
        size: tuple[int, int],
    ) -> Boxes:
        """What an image's logits (Q, C) and boxes (Q, 4), of each task, come to. size: (H, W) of the image."""
        found = []
        for (logits, boxes), task in zip(answers, texts, strict=True):
            corners, scores = to_corners(boxes, size), logits.sigmoid()[:, task.columns]
            for column, prompt in enumerate(task.prompt_index.tolist()):
                sure = (scores[:, column] >= thresholds[prompt]).nonzero()[:, 0]
                kept = sure[without_overlaps(corners[sure], scores[sure, column], _SAME_OBJECT)]
                found.append(
                    Boxes(corners[kept], scores[kept, column], torch.full_like(kept, prompt))
                )
        return Boxes(
            torch.cat([boxes.corners for boxes in found]),
            torch.cat([boxes.scores for boxes in found]),
            torch.cat([boxes.prompt_index for boxes in found]),
        )

    def _encode_tasks(self, tasks: Sequence[Sequence[str]]) -> list[tuple[Tensor, Tensor]]:
        return [self._encode_task(words) for words in tasks]

    def _encode_task(self, words: Sequence[str]) -> tuple[Tensor, Tensor]:
        """`Task.classes`, in the order of the words, and `Task.sentence`."""
        tokens = [self._tokenizer.tokens(prompt) for prompt in words]
        # The text encoder only looks back, so that what fills up a phrase after its end needs no mask.
        ids = padded(tokens, self._tokenizer.end)
        text = self.network.language_backbone
        read = text.model(ids.to(self._device)).last_hidden_state
        last = [len(row) - 1 for row in tokens]
        classes = read[range(len(tokens)), last] @ text.text_projection
        task = torch.tensor([self._tokenizer.tokens(_task(words))], device=self._device)
        sentence = text.model(task).last_hidden_state
        return classes[:, None].float(), sentence.transpose(0, 1).float()

    def _fits(self, prompts: Sequence[str]) -> bool:
        return len(self._tokenizer.tokens(_task(prompts))) <= self._tokenizer.longest

    def _mixed(self) -> torch.autocast:
        half = self._dtype != torch.float32
        return torch.autocast(self._device.type, self._dtype, enabled=half)


def _task(prompts: Sequence[str]) -> str:
    """The sentence that the authors, and transformers' processor, make of classes."""
    return f"Detect {', '.join(prompts)}."


def _task_of(
    words: Sequence[str], prompts: Sequence[str], classes: Tensor, sentence: Tensor
) -> Task:
    """words: of the task, all different. phrases: all, some perhaps alike."""
    here = [index for index, prompt in enumerate(prompts) if prompt in words]
    columns = [words.index(prompts[index]) for index in here]
    device = classes.device
    return Task(
        classes,
        sentence,
        torch.tensor(columns, device=device),
        torch.tensor(here, device=device),
    )


def _check_timm(model: str, folder: Path) -> None:
    """Raise ModelError where the checkpoint needs timm and it is not there."""
    try:
        config = OmDetTurboConfig.from_pretrained(folder, local_files_only=True)
    except Exception:  # loading the model says what is wrong with it
        return
    if config.backbone_config.model_type == "timm_backbone" and not importlib.util.find_spec(
        "timm"
    ):
        raise ModelError(
            f"the image encoder of {model} is one of the package timm, which is not installed; install timm, and "
            "torchvision of the version that belongs to the installed torch"
        )


def without_overlaps(boxes: Tensor, scores: Tensor, most: float) -> Tensor:
    """Non-maximum suppression: which of N boxes to keep, most certain first.

    boxes: (N, 4), left, top, right, bottom. A box goes that overlaps a kept one by more than `most` (IoU).
    """
    order = scores.argsort(descending=True, stable=True)
    boxes = boxes[order]
    shared = torch.minimum(boxes[:, None, 2:], boxes[None, :, 2:]) - torch.maximum(
        boxes[:, None, :2], boxes[None, :, :2]
    )
    intersection = shared.clamp(min=0).prod(dim=2)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1)
    union = areas[:, None] + areas[None] - intersection
    rivals = (intersection > most * union).cpu().numpy()
    kept = np.ones(len(order), bool)
    for i in range(len(order)):
        if kept[i]:
            kept[i + 1 :] &= ~rivals[i, i + 1 :]
    return order[torch.from_numpy(kept).to(order.device)]
