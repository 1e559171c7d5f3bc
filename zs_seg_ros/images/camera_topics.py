"""Default names of a camera's topics. transport: raw or compressed; ffmpeg for images."""

from __future__ import annotations


def image_topic(camera: str, transport: str) -> str:
    """Return the topic of the images."""
    return f"/{camera}/image_raw" + ("" if transport == "raw" else f"/{transport}")


def depth_topic(camera: str, transport: str) -> str:
    """Return the topic of the depth images, which are registered to the images."""
    return f"/{camera}/depth/image_raw" + ("/compressedDepth" if transport == "compressed" else "")


def info_topic(camera: str) -> str:
    """Return the topic of the CameraInfo messages."""
    return f"/{camera}/camera_info"
