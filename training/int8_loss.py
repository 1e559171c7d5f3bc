# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Measures what 8 bits and bf16 cost in mIoU, on trained weights: a small CLIPSeg learns rendered scenes here.

    scripts/run.sh python -m training.int8_loss SHARDS --model FOLDER [--minutes 12]

SHARDS holds images that `python -m training.train` rendered (`training_data`); the last shard is not learned from but
judged. FOLDER is where the model is written; one that is there already is judged without training. The network has the
architecture of CIDAS/clipseg-rd64-refined with a quarter of its width and half of its layers. Its words are colours,
which it learns in minutes. For each engine and precision: the mean IoU of the objects of each colour against the truth,
and the loss against fp32. With the packages onnxruntime-openvino and nncf OpenVINO is one of the engines; its ranges
are calibrated on images that were learned from.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm
from transformers import CLIPSegConfig, CLIPSegForImageSegmentation, CLIPTokenizer

from training.names import ALL_PAIRS, COLOURS, IGNORE
from zs_seg_ros.cli.argument_types import positive
from zs_seg_ros.evaluation.pixel_scores import PixelScores
from zs_seg_ros.evaluation.truth import IGNORED, numbers_of_ids
from zs_seg_ros.segmenters.engines import openvino, runtime
from zs_seg_ros.segmenters.engines.export import Calibration, export_model
from zs_seg_ros.segmenters.load_options import PROVIDERS, LoadOptions
from zs_seg_ros.segmenters.loaded_model import load_model
from zs_seg_ros.segmenters.shared.image_tensors import IMAGENET_MEAN, IMAGENET_STD
from zs_seg_ros.testing.clipseg import small_clipseg_config, write_clipseg
from zs_seg_ros.types import Batch
from zs_seg_ros.vocabulary.vocabulary import TargetClass, Vocabulary

SIDE = 192
IMAGES, PROMPTS = 16, 4
"""Of a step of training; half of the prompts are colours in the image."""
LEARNING_RATE = 1e-3
CALIBRATION_IMAGES = 16
Shard = tuple[NDArray[np.uint8], NDArray[np.uint8]]
"""Images (N, H, W, 3), and the colour of the object in each pixel (N, H, W): 0, 1 + index into `COLOURS`, or IGNORE."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("shards", type=Path)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--minutes", type=positive, default=12)
    arguments = parser.parse_args()
    *learned, judged = [_read(path) for path in sorted(arguments.shards.glob("shard_*.npz"))]
    if not (arguments.model / "config.json").is_file():
        arguments.model.mkdir(parents=True, exist_ok=True)
        train(arguments.model, learned, 60 * arguments.minutes)
    judge(str(arguments.model), judged, learned[0][0][:CALIBRATION_IMAGES])


def _read(path: Path) -> Shard:
    colour_of_pair = np.zeros(256, np.uint8)
    colour_of_pair[1 : 1 + len(ALL_PAIRS)] = [1 + COLOURS.index(colour) for colour, _ in ALL_PAIRS]
    colour_of_pair[IGNORE] = IGNORE
    with np.load(path) as shard:
        return shard["rgb"], colour_of_pair[shard["pair"]]


# --- training ---


def config() -> CLIPSegConfig:
    widths = {"hidden_size": 192, "intermediate_size": 768, "num_attention_heads": 6}
    text = {"vocab_size": 600, "bos_token_id": 598, "eos_token_id": 599, "pad_token_id": 599}
    return small_clipseg_config(
        text_config={**widths, **text, "num_hidden_layers": 2},
        vision_config={**widths, "num_hidden_layers": 6, "patch_size": 16, "image_size": SIDE},
        projection_dim=128,
        extract_layers=[1, 3, 5],
        reduce_dim=64,
        decoder_num_attention_heads=4,
        decoder_intermediate_size=256,
    )


def train(folder: Path, shards: Sequence[Shard], seconds: float) -> None:
    """Train from random weights, with a learning rate that follows the clock, and write the checkpoint."""
    model = write_clipseg(folder, config(), SIDE, COLOURS).train()
    tokenizer = CLIPTokenizer.from_pretrained(folder)
    tokens = tokenizer(list(COLOURS), padding=True, return_tensors="pt")
    images, colours = (np.concatenate([shard[i] for shard in shards]) for i in (0, 1))
    optimiser = torch.optim.AdamW(model.parameters(), LEARNING_RATE, weight_decay=0.02)
    start_s, random = time.monotonic(), np.random.default_rng(0)
    with tqdm(total=round(seconds), unit="s", desc="training", disable=None) as bar:
        while (spent_s := time.monotonic() - start_s) < seconds:
            bar.update(int(spent_s) - bar.n)
            rate = LEARNING_RATE * min(1.0, 50 * spent_s / seconds, 1.02 - spent_s / seconds)
            optimiser.param_groups[0]["lr"] = rate
            chosen = random.integers(len(images), size=IMAGES)
            loss = _loss(model, tokens, images[chosen], colours[chosen], random)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            bar.set_postfix(loss=f"{loss.item():.3f}")
    model.eval().save_pretrained(folder)


def _loss(
    model: CLIPSegForImageSegmentation,
    tokens: Any,
    images: NDArray[np.uint8],
    colours: NDArray[np.uint8],
    random: np.random.Generator,
) -> Tensor:
    """Return binary cross-entropy and Dice loss of some prompts of each image."""
    prompts = np.stack([_prompts(each, random) for each in colours])  # (B, P)
    truth = torch.from_numpy(colours[:, None] == 1 + prompts[..., None, None]).float()
    truth = functional.interpolate(truth, (SIDE, SIDE), mode="area").flatten(0, 1)
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    pixels = functional.interpolate(pixels, (SIDE, SIDE), mode="bilinear", antialias=True)
    pixels = (pixels - torch.tensor(IMAGENET_MEAN)[:, None, None]) / torch.tensor(IMAGENET_STD)[
        :, None, None
    ]
    vision = model.clip.vision_model(pixels, output_hidden_states=True)
    activations = [
        vision.hidden_states[layer + 1].repeat_interleave(PROMPTS, 0)
        for layer in model.config.extract_layers
    ]
    ids = torch.from_numpy(prompts).flatten()
    conditions = model.get_conditional_embeddings(
        batch_size=len(ids),
        input_ids=tokens["input_ids"][ids],
        attention_mask=tokens["attention_mask"][ids],
    )
    logits = model.decoder(activations, conditions).logits.view(len(ids), SIDE, SIDE)
    probabilities = logits.sigmoid()
    overlap = 2 * (probabilities * truth).sum() / (probabilities.sum() + truth.sum() + 1)
    entropy = functional.binary_cross_entropy_with_logits(logits, truth)
    loss: Tensor = entropy + 0.5 * (1 - overlap)
    return loss


def _prompts(colours: NDArray[np.uint8], random: np.random.Generator) -> NDArray[np.int64]:
    """Choose prompts of an image, as indices into `COLOURS`: half are of its objects, if it has any."""
    present = np.setdiff1d(np.unique(colours), (0, IGNORE)).astype(np.int64) - 1
    shown = random.choice(present, min(len(present), PROMPTS // 2), replace=False)
    return np.concatenate([shown, random.integers(len(COLOURS), size=PROMPTS - len(shown))])


# --- judging ---


def judge(model: str, shard: Shard, calibration_images: NDArray[np.uint8]) -> None:
    images, colours = shard
    truth = np.where(colours == IGNORE, np.uint16(IGNORED), colours)
    vocabulary = Vocabulary().changed_to([TargetClass(name) for name in COLOURS])
    data = Calibration(list(calibration_images), vocabulary, 0.5) if has_openvino() else None
    list(export_model(model, LoadOptions(), int8=True, calibration_data=data))
    print(f"{len(images)} images of {truth.shape[2]}x{truth.shape[1]}, {len(COLOURS)} colours")
    expected = 0.0
    for name, options in variants():
        scores = PixelScores(len(COLOURS))
        loaded = load_model(model, options, vocabulary)
        numbers = numbers_of_ids(vocabulary)
        for image, expected_label in zip(
            tqdm(images, desc=name, leave=False, disable=None), truth, strict=True
        ):
            batch = Batch((np.ascontiguousarray(image),), vocabulary.thresholds(0.5))
            [result] = loaded.segmenter.segment(batch, loaded.encoded)
            scores.add(expected_label, numbers[result.label], result.confidence)
        expected = expected or scores.mean_iou
        print(f"{name:32} mIoU {scores.mean_iou:.4f}, loss {expected - scores.mean_iou:+.4f}")
        loaded.segmenter.close()


def has_openvino() -> bool:
    return PROVIDERS["openvino"] in runtime.runtime("this benchmark").get_available_providers()


def variants() -> Iterator[tuple[str, LoadOptions]]:
    """Yield engines and precisions with their names; torch in fp32, which the others are compared with, first."""
    torch_fp32 = LoadOptions("cpu", "fp32")
    yield "torch fp32", torch_fp32
    yield "torch bf16", replace(torch_fp32, precision="bf16")
    by_runtime = replace(torch_fp32, engine="onnxruntime")
    yield "ONNX Runtime int8", replace(by_runtime, precision="int8")
    if has_openvino():
        by_openvino = replace(by_runtime, providers=("openvino", "cpu"))
        precisions = ["fp32", "bf16", "int8"]
        if not openvino.computes_in_bf16([PROVIDERS["openvino"]]):
            precisions.remove("bf16")
        for precision in precisions:
            yield f"OpenVINO {precision}", replace(by_openvino, precision=precision)


if __name__ == "__main__":
    main()
