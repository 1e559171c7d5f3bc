# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""OWLv2: phrases and example images to boxes (Minderer et al. 2023, arXiv 2306.09683).

It loads any checkpoint of transformers' `Owlv2ForObjectDetection`, such as google/owlv2-base-patch16-ensemble.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from transformers import Owlv2ForObjectDetection
from transformers.models.owlv2.image_processing_pil_owlv2 import Owlv2ImageProcessorPil
from transformers.models.owlv2.modeling_owlv2 import Owlv2MLP

from zs_seg_ros.errors import ModelError
from zs_seg_ros.segmenters.boxes_then_masks.boxes import Boxes
from zs_seg_ros.segmenters.boxes_then_masks.detr_images import to_corners
from zs_seg_ros.segmenters.boxes_then_masks.examples import ExampleDetector, digest
from zs_seg_ros.segmenters.boxes_then_masks.owlv2_examples import query_embedding
from zs_seg_ros.segmenters.boxes_then_masks.owlv2_images import prepare_square
from zs_seg_ros.segmenters.boxes_then_masks.owlv2_network import encode_images, resize_positions
from zs_seg_ros.segmenters.engines.parts import Exportable, NetworkPart, Run, image_encoder
from zs_seg_ros.segmenters.finite import check_finite
from zs_seg_ros.segmenters.kept_images import encoded_once
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.shared.chunked import chunked_feed_forward
from zs_seg_ros.segmenters.shared.compiled import Compiled
from zs_seg_ros.segmenters.shared.device import choose_device, choose_precision, precision_name
from zs_seg_ros.segmenters.shared.input_size import choose_input_size
from zs_seg_ros.segmenters.shared.preprocessing import UnsupportedPreprocessingError
from zs_seg_ros.segmenters.shared.pretrained import (
    ImageFormat,
    load_image_format,
    load_model,
)
from zs_seg_ros.segmenters.shared.prompt_cache import PromptCache
from zs_seg_ros.segmenters.shared.prompt_tokenizer import load_clip_tokenizer
from zs_seg_ros.segmenters.shared.stages import stage
from zs_seg_ros.segmenters.shared.transfers import downloaded
from zs_seg_ros.types import RgbImage, size_of
from zs_seg_ros.vocabulary.vocabulary import Exemplar

_EXAMPLES_KEPT = 256

# CLIP's mean and standard deviation (openai/CLIP, clip.py), the defaults of OWLv2's processor.
_MEAN, _STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


class _Images(Owlv2ImageProcessorPil):  # type: ignore[misc]
    """Preprocessing as in the preprocessor file, of which OWLv2's own processor ignores `resample`."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{**settings, "resample": 2})
        for key in ("do_pad", "do_rescale"):
            if not getattr(self, key):
                raise UnsupportedPreprocessingError(key, getattr(self, key), "true is")


class Owlv2Detector(ExampleDetector, Exportable):
    """OWLv2 from a checkpoint folder in the format of transformers.

    A box is reported for each phrase whose threshold it reaches, where transformers' post-processing keeps the arg-max
    over the phrases alone. Encoded phrases are unit vectors, (P, D).
    """

    takes_input_size = True
    prompts_are_independent = True

    def __init__(self, model: str, folder: Path, options: LoadOptions) -> None:
        self.model = model
        device = choose_device(options.device)
        self.device = str(device)
        self._dtype = choose_precision(options, device, "owlv2")
        self.precision = precision_name(self._dtype)
        loaded = load_model(Owlv2ForObjectDetection, model, folder, self._dtype)
        self._tokenizer = load_clip_tokenizer(model, folder, loaded.config.text_config)
        self._prompts = PromptCache[str, Tensor]()
        self._examples = PromptCache[bytes, Tensor](_EXAMPLES_KEPT)
        side: int = loaded.config.vision_config.image_size
        default = ImageFormat((side, side), _MEAN, _STD)
        self._format = load_image_format(_Images, model, folder, default)
        self._check(loaded)
        patch: int = loaded.config.vision_config.patch_size
        self._side, _ = choose_input_size(
            model, options.inference_size, self._format.size, multiple=patch, least=2 * patch
        )
        if self._side != side:
            resize_positions(loaded, self._side // patch)
        if device.type == "cpu":
            chunked_feed_forward(loaded.owlv2.vision_model, Owlv2MLP)
        self._network = loaded.to(device)
        self._images_per_batch = 1 if device.type == "cpu" or options.compile else 8
        self._encode_images: Callable[[Tensor], tuple[Tensor, Tensor]] = self._features_and_boxes
        if options.compile:
            self._encode_images = Compiled(self._features_and_boxes, dynamic=False)
        self._mean = torch.tensor(self._format.mean, device=device)
        self._std = torch.tensor(self._format.std, device=device)

    def network_parts(self) -> tuple[NetworkPart, ...]:
        """Return the image encoder with the box head, at the detector's input size."""
        network = self._network
        layers = (network.owlv2.vision_model, network.layer_norm, network.box_head)
        return (
            image_encoder(
                "owlv2_image_encoder",
                self._features_and_boxes,
                nn.ModuleList(layers),
                (self._side, self._side),
                ("features", "boxes"),
                self._encode_with,
            ),
        )

    def _encode_with(self, run: Run) -> None:
        def encode(pixels: Tensor) -> tuple[Tensor, Tensor]:
            features, boxes = run(pixels)
            return features, boxes

        self._encode_images = encode

    def _check(self, loaded: Owlv2ForObjectDetection) -> None:
        """Raise ModelError when the parts of the checkpoint do not fit together."""
        # The text encoder locates the end of a phrase by the token of the highest number.
        last = self._tokenizer.size - 1
        if self._tokenizer.end != last:
            raise ModelError(
                f"the tokenizer of {self.model} ends a phrase with token {self._tokenizer.end} and the "
                f"model expects the last one, {last}; fetch the checkpoint again"
            )
        self._format.check_square(loaded.config.vision_config.image_size, self.model)

    @torch.inference_mode()
    def encode(self, prompts: Sequence[str]) -> Tensor:
        """Encode phrases to unit vectors, (P, D), and cache them."""
        return torch.cat(self._prompts.get(prompts, self._encode))

    def _encode(self, prompts: Sequence[str]) -> Sequence[Tensor]:
        """Return one embedding (1, D) per phrase."""
        rows: list[Tensor] = []
        for ids in self._tokenizer.batches(prompts):
            embeddings = self._network.owlv2.get_text_features(ids.to(self.device)).pooler_output
            rows += torch.split(functional.normalize(embeddings, dim=-1), 1)
        return rows

    @torch.inference_mode()
    def encode_example(self, example: Exemplar) -> Tensor:
        """Encode an example image to a unit vector, (1, D), and cache it."""
        [row] = self._examples.get([digest(example)], lambda _: [self._encode_example(example)])
        return row

    def _encode_example(self, example: Exemplar) -> Tensor:
        features, boxes = self._encode_images(self._prepare([example.image]))
        return query_embedding(self._network, features[0], boxes[0], example)

    @torch.inference_mode()
    def detect(
        self, images: Sequence[RgbImage], encoded: Tensor, thresholds: NDArray[np.float32]
    ) -> list[Boxes]:
        """Return for each image the boxes whose score reaches the threshold of their phrase."""
        outputs: list[Tensor] = []
        for start in range(0, len(images), self._images_per_batch):
            batch = images[start : start + self._images_per_batch]
            outputs.append(torch.cat(self.scores_and_boxes(batch, encoded), dim=-1))
        with stage("decode"):
            rows = [row for output in downloaded(outputs) for row in output]
            return [
                _postprocess(row[:, :-4], row[:, -4:], size_of(image), thresholds)
                for row, image in zip(rows, images, strict=True)
            ]

    @torch.inference_mode()
    def scores_and_boxes(
        self, images: Sequence[RgbImage], encoded: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return scores (B, N, P) of each phrase for each box, 0..1, and boxes (B, N, 4), both float32.

        A box is its centre, width and height, as shares of the longer side of the image.
        """
        features, boxes = encoded_once(self, images, lambda: self._prepare_and_encode(images))
        with stage("decode"):
            logits, _ = self._network.class_predictor(features, encoded)
            check_finite(logits)
            return logits.float().sigmoid(), boxes.float()

    def _prepare_and_encode(self, images: Sequence[RgbImage]) -> tuple[Tensor, Tensor]:
        with stage("prepare"):
            pixels = self._prepare(images)
        with stage("encode"):
            return self._encode_images(pixels)

    def _prepare(self, images: Sequence[RgbImage]) -> Tensor:
        return prepare_square(images, self._side, self._mean, self._std, self._dtype)

    def _features_and_boxes(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return features (B, N, D) of all patches and their boxes (B, N, 4); neither depends on the phrases."""
        grid = encode_images(self._network, pixels)
        features = grid.flatten(1, 2)
        return features, self._network.box_predictor(features, grid)


def _postprocess(
    scores: Tensor, boxes: Tensor, size: tuple[int, int], thresholds: NDArray[np.float32]
) -> Boxes:
    """Apply the thresholds (P,) to scores (N, P) and boxes (N, 4) of one image of `size` (H, W)."""
    box, prompt = (scores >= torch.from_numpy(thresholds)).nonzero(as_tuple=True)
    longest = max(size)
    return Boxes(to_corners(boxes[box], (longest, longest)), scores[box, prompt], prompt)
