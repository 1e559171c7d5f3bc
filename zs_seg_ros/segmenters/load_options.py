"""How a model is to be loaded."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LoadOptions:
    """How to load a model.

    device: auto, cpu, cuda or cuda:N. precision: auto, fp32, fp16 or bf16. revision: of a Hugging Face id, '' for
    the newest on disk; of a pair two, joined by `+` in the same order, of which either may be empty. compile:
    torch.compile the model, slower to start and faster afterwards.
    """

    device: str = "auto"
    precision: str = "auto"
    revision: str = ""
    compile: bool = False


DEFAULT_OPTIONS = LoadOptions()
