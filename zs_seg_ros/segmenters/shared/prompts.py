"""The prompts of a vocabulary as one flat list, and warnings about those that a model can hardly distinguish."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from zs_seg_ros.errors import VocabularyError
from zs_seg_ros.vocabulary.vocabulary import Vocabulary


@dataclass(frozen=True)
class FlatPrompts:
    """The prompts (P) of all classes and, for each, the index of the class that it describes."""

    prompts: tuple[str, ...]
    class_of_prompt: tuple[int, ...]


def flat_prompts(vocabulary: Vocabulary) -> FlatPrompts:
    """List the prompts of all classes in the order of the classes."""
    pairs = [
        (prompt, index)
        for index, target in enumerate(vocabulary.classes)
        for prompt in target.effective_prompts
    ]
    return FlatPrompts(tuple(p for p, _ in pairs), tuple(i for _, i in pairs))


def refuse_exemplars(vocabulary: Vocabulary, model: str) -> None:
    """Raise VocabularyError when a class comes with example images, for a model that takes words only."""
    for target in vocabulary.classes:
        if target.exemplars:
            raise VocabularyError(
                f"class {target.name!r} comes with example images, which the model {model} cannot use; "
                "describe it in words"
            )


def similarity_warnings(
    vocabulary: Vocabulary, class_of_feature: tuple[int, ...], features: Tensor, limit: float
) -> list[str]:
    """Warn in one sentence of each two classes with features whose cosine similarity is above `limit`.

    features: (P, D), any scale; class_of_feature[i] is the index of the class that features[i] describes.
    """
    unit = torch.nn.functional.normalize(features.float(), dim=-1)
    similarity = (unit @ unit.T).cpu().tolist()
    closest: dict[tuple[int, int], float] = {}
    for i, first in enumerate(class_of_feature):
        for j, second in enumerate(class_of_feature[:i]):
            if first != second and similarity[i][j] > limit:
                pair = (min(first, second), max(first, second))
                closest[pair] = max(closest.get(pair, 0.0), similarity[i][j])
    names = vocabulary.names
    return [
        f"{names[a]!r} and {names[b]!r} look nearly the same to the model (similarity {value:.2f}); "
        "expect it to mix them up, or describe them by what sets them apart"
        for (a, b), value in sorted(closest.items())
    ]
