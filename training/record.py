# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Renders the recording that ships with the package: `python -m training.record --output recordings/tabletop`.

A rosbag2 folder (MCAP, zstd) of a simulated RGB-D camera that moves over four tables, with ground truth.
`recordings/tabletop/README.md` describes its content. The same code gives the same recording.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from rosbags.interfaces import Connection
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from tqdm import tqdm

from training.meshes import build_bodies
from training.names import HELD_OUT_PAIRS
from training.recorded_scenes import SCENES, VERTICAL_FOV_DEG, SceneScript
from training.recording_messages import (
    WORLD_FRAME,
    Messages,
    depth_in_millimetres,
    typestore_with_label_info,
)
from training.scene import Renderer, Rendering, as_mesh_vertices
from zs_seg_ros.bags.bag import offered_qos
from zs_seg_ros.files import write_output

RATE_HZ = 10
FRAMES_PER_SCENE = 60
START_NS = 1_700_000_000 * 10**9
SEED = 20
METADATA_VERSION: Final = 8  # the newest that Humble reads; Jazzy and Kilted read it too

IMAGE, INFO = "sensor_msgs/msg/Image", "sensor_msgs/msg/CameraInfo"
TRANSFORMS = "tf2_msgs/msg/TFMessage"
FRAME_TOPICS = {
    "/camera/image_raw": IMAGE,
    "/camera/depth/image_raw": IMAGE,
    "/camera/camera_info": INFO,
    "/camera/ground_truth/label": IMAGE,
    "/camera/ground_truth/instance": IMAGE,
    "/tf": TRANSFORMS,
}
LATCHED_TOPICS = {
    "/tf_static": TRANSFORMS,
    "/camera/ground_truth/label_info": "vision_msgs/msg/LabelInfo",
}


@dataclass(frozen=True)
class GroundTruth:
    """Ids of names and objects. Label and instance ids start at 1; 0 is background and clutter."""

    label_ids: dict[str, int]
    first_instance_id: tuple[int, ...]  # of each scene; its objects count on from there

    @classmethod
    def of(cls, scenes: tuple[SceneScript, ...]) -> GroundTruth:
        names = sorted({placed.name for scene in scenes for placed in scene.objects})
        counts = [len(scene.objects) for scene in scenes]
        first = np.cumsum([1, *counts[:-1]])
        return cls({name: i for i, name in enumerate(names, start=1)}, tuple(int(i) for i in first))

    def images(self, number: int, rendering: Rendering) -> tuple[Any, Any]:
        """Return (label, instance), each (H, W) uint8, of an image of scene `number`."""
        objects = SCENES[number].objects
        labels = np.zeros(256, np.uint8)
        labels[1 : len(objects) + 1] = [self.label_ids[placed.name] for placed in objects]
        instances = np.zeros(256, np.uint8)
        instances[1 : len(objects) + 1] = self.first_instance_id[number] + np.arange(len(objects))
        return labels[rendering.instance], instances[rendering.instance]

    def as_json(self) -> dict[str, Any]:
        held_out = {" ".join(pair) for pair in HELD_OUT_PAIRS}
        return {
            "labels": [
                {"id": number, "name": name, "held_out_from_training": name in held_out}
                for name, number in self.label_ids.items()
            ],
            "world_frame": WORLD_FRAME,
            "scenes": [self._scene_as_json(number) for number in range(len(SCENES))],
        }

    def _scene_as_json(self, number: int) -> dict[str, Any]:
        meshes = build_bodies()
        first_frame = number * FRAMES_PER_SCENE
        objects = []
        placements = SCENES[number].scene(SEED + number).objects
        for offset, (placed, placement) in enumerate(
            zip(SCENES[number].objects, placements, strict=False)  # clutter has no name
        ):
            vertices = as_mesh_vertices(placement, meshes)
            low, high = vertices.min(axis=0), vertices.max(axis=0)
            objects.append(
                {
                    "instance": self.first_instance_id[number] + offset,
                    "label": self.label_ids[placed.name],
                    "centre_m": [round(float(c), 4) for c in (low + high) / 2],
                    "size_m": [round(float(s), 4) for s in high - low],
                }
            )
        return {
            "first_frame": first_frame,
            "last_frame": first_frame + FRAMES_PER_SCENE - 1,
            "things": objects,
        }


class BagWriter:
    """Writes messages of the topics above into a new rosbag2 folder."""

    def __init__(self, folder: Path) -> None:
        self._store = typestore_with_label_info()
        self._writer = Writer(folder, version=METADATA_VERSION, storage_plugin=StoragePlugin.MCAP)
        self._writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
        self._writer.set_custom_data("made_by", "python -m training.record")
        self._connections: dict[str, Connection] = {}
        self.messages = Messages(self._store)

    def __enter__(self) -> BagWriter:
        self._writer.open()
        for topics, qos in (
            (FRAME_TOPICS, offered_qos(depth=5)),
            (LATCHED_TOPICS, offered_qos(depth=1, latched=True)),
        ):
            for topic, message_type in topics.items():
                self._connections[topic] = self._writer.add_connection(
                    topic, message_type, typestore=self._store, offered_qos_profiles=[qos]
                )
        return self

    def __exit__(self, *exception: Any) -> None:
        self._writer.__exit__(*exception)

    def write(self, topic: str, stamp_ns: int, message: Any) -> None:
        connection = self._connections[topic]
        data = self._store.serialize_cdr(message, connection.msgtype)
        self._writer.write(connection, stamp_ns, data)


def write_bag(folder: Path, truth: GroundTruth) -> None:
    """Render all scenes into the rosbag2 folder `folder`, which must not exist."""
    renderer = Renderer()
    with BagWriter(folder) as bag:
        make = bag.messages
        bag.write("/tf_static", START_NS, make.static_transform(START_NS))
        names = {number: name for name, number in truth.label_ids.items()}
        bag.write("/camera/ground_truth/label_info", START_NS, make.label_info(START_NS, names))
        for frame in tqdm(range(len(SCENES) * FRAMES_PER_SCENE), desc="rendering", unit="frame"):
            number, step = divmod(frame, FRAMES_PER_SCENE)
            if step == 0:
                renderer.load(SCENES[number].scene(SEED + number))
            view = SCENES[number].view(step / (FRAMES_PER_SCENE - 1))
            rendering = renderer.render(view.camera)
            label, instance = truth.images(number, rendering)
            stamp_ns = START_NS + frame * 10**9 // RATE_HZ
            depth = depth_in_millimetres(rendering.depth_m)
            info = make.camera_info(stamp_ns, VERTICAL_FOV_DEG)
            bag.write("/tf", stamp_ns, make.camera_pose(stamp_ns, view))
            bag.write("/camera/camera_info", stamp_ns, info)
            bag.write(
                "/camera/image_raw", stamp_ns, make.image_message(stamp_ns, rendering.rgb, "rgb8")
            )
            bag.write(
                "/camera/depth/image_raw", stamp_ns, make.image_message(stamp_ns, depth, "16UC1")
            )
            bag.write(
                "/camera/ground_truth/label", stamp_ns, make.image_message(stamp_ns, label, "mono8")
            )
            bag.write(
                "/camera/ground_truth/instance",
                stamp_ns,
                make.image_message(stamp_ns, instance, "mono8"),
            )
    renderer.close()


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Render the recording that ships with the package."
    )
    parser.add_argument("--output", type=Path, default=Path("recordings/tabletop"))
    output: Path = parser.parse_args().output
    truth = GroundTruth.of(SCENES)
    with tempfile.TemporaryDirectory(prefix="recording_") as temporary:
        folder = Path(temporary) / output.name
        write_bag(folder, truth)
        (folder / "ground_truth.json").write_text(json.dumps(truth.as_json(), indent=1) + "\n")
        output.mkdir(parents=True, exist_ok=True)
        for file in sorted(folder.iterdir()):
            write_output(output / file.name, file.read_bytes())
    size_mb = sum(file.stat().st_size for file in output.iterdir()) / 1e6
    print(f"wrote {output}: {len(SCENES) * FRAMES_PER_SCENE} frames, {size_mb:.1f} MB")


if __name__ == "__main__":
    main()
