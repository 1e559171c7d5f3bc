"""The packages that transformers needs to read a tokenizer.model, which not every installation has."""

from __future__ import annotations

import importlib

_READERS = {"sentencepiece": "sentencepiece", "google.protobuf": "protobuf"}
"""The modules, and the packages that have them."""


def missing_readers() -> list[str]:
    """List the packages that are missing to read a tokenizer.model."""
    return [package for module, package in _READERS.items() if not _can_import(module)]


def _can_import(module: str) -> bool:
    try:
        importlib.import_module(module)
    except ImportError:
        return False
    return True
