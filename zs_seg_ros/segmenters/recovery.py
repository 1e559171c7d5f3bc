"""Errors of segmenters that ran out of memory, turned into those that name the remedy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from zs_seg_ros.segmenters.base import Segmenter


@contextmanager
def recovering(segmenter: Segmenter[Any]) -> Iterator[None]:
    """Let the segmenter free memory after an error, and replace the error by one that names the remedy."""
    try:
        yield
    except Exception as error:
        explained = segmenter.recover(error)
        if explained is error:
            raise
        raise explained from None
