"""The topics of a camera, as the interface names them. transport: raw or compressed."""

from __future__ import annotations


def image_topic(camera: str, transport: str) -> str:
    return f"/{camera}/image_raw" + ("/compressed" if transport == "compressed" else "")


def depth_topic(camera: str, transport: str) -> str:
    """Of depth registered to the images."""
    return f"/{camera}/depth/image_raw" + ("/compressedDepth" if transport == "compressed" else "")


def info_topic(camera: str) -> str:
    return f"/{camera}/camera_info"
