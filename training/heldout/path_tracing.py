# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Renders test scenes with Mitsuba's path tracer on the processor: soft shadows, bounced light, reflections."""

from __future__ import annotations

from typing import Any

import cv2
import mitsuba
import numpy as np
from numpy.typing import NDArray

from training.heldout.scenes import SETS, Standing, TestScene, draw
from training.names import ALL_PAIRS, IGNORE

mitsuba.set_variant("scalar_rgb")

SHORTEST_SIDE = 12 / 320
"""Objects whose visible part is shorter, as a share of the image's width, are ignored."""
EXPOSURE = 0.9


def _linear(colours: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.clip(colours, 0, 1) ** 2.2)


def _mesh(name: str, standing: Standing) -> Any:
    """Return a mesh of Mitsuba with the colours of its vertices, diffuse or slightly glossy."""
    colour = {"type": "mesh_attribute", "name": "vertex_colour"}
    if standing.roughness:
        surface = {"type": "principled", "base_color": colour, "roughness": standing.roughness}
    else:
        surface = {"type": "diffuse", "reflectance": colour}
    bsdf = mitsuba.load_dict({"type": "twosided", "inner": surface})
    properties = mitsuba.Properties()
    properties["bsdf"] = bsdf
    vertices, triangles = standing.surface.vertices, standing.surface.triangles
    mesh = mitsuba.Mesh(name, len(vertices), len(triangles), props=properties)
    mesh.add_attribute("vertex_colour", 3, _linear(standing.colours).astype(np.float32).ravel())
    parameters = mitsuba.traverse(mesh)
    parameters["vertex_positions"] = vertices.astype(np.float32).ravel()
    parameters["faces"] = triangles.astype(np.uint32).ravel()
    parameters.update()
    return mesh


def _scene(scene: TestScene, size: tuple[int, int], samples: int) -> Any:
    transform = mitsuba.ScalarTransform4f
    height, width = size
    table = {
        "type": "bitmap",
        "data": mitsuba.TensorXf(_linear(scene.table).astype(np.float32)),
        "raw": True,
        "filter_type": "nearest",
    }
    lamp = 26 * scene.lamp_share
    parts: dict[str, Any] = {
        "type": "scene",
        "integrator": {"type": "path", "max_depth": 4},
        "sensor": {
            "type": "perspective",
            "fov": scene.fov_deg,
            "fov_axis": "y",
            "to_world": transform().look_at(scene.eye, scene.target, [0, 0, 1]),
            "film": {
                "type": "hdrfilm",
                "width": width,
                "height": height,
                "rfilter": {"type": "box"},
            },
            "sampler": {"type": "multijitter", "sample_count": samples},
        },
        "sky": {"type": "constant", "radiance": 1.05 * (1 - scene.lamp_share)},
        "lamp": {
            "type": "sphere",
            "center": scene.lamp,
            "radius": 0.22,
            "emitter": {
                "type": "area",
                "radiance": {"type": "rgb", "value": [lamp, lamp, 0.95 * lamp]},
            },
        },
        "table": {
            "type": "rectangle",
            "to_world": transform().scale([0.65, 0.65, 1]),
            "bsdf": {"type": "diffuse", "reflectance": table},
        },
        "floor": {
            "type": "rectangle",
            "to_world": transform().translate([0, 0, -0.7]).scale([8, 8, 1]),
            "bsdf": {"type": "diffuse", "reflectance": {"type": "rgb", "value": list(scene.floor)}},
        },
    }
    for index, standing in enumerate(scene.objects):
        parts[f"object_{index}"] = _mesh(f"object_{index}", standing)
    return mitsuba.load_dict(parts)


def _instances(scene: Any, size: tuple[int, int]) -> NDArray[np.int64]:
    """Return (H, W): the index of the object at the centre of each pixel, -1 elsewhere."""
    height, width = size
    film = {"type": "hdrfilm", "width": width, "height": height, "rfilter": {"type": "box"}}
    sensor = scene.sensors()[0]
    parameters = mitsuba.traverse(sensor)
    centre = mitsuba.load_dict(
        {
            "type": "perspective",
            "fov": float(parameters["x_fov"]),
            "fov_axis": "x",
            "to_world": mitsuba.ScalarTransform4f(np.array(sensor.world_transform().matrix)),
            "film": film,
            "sampler": {"type": "stratified", "sample_count": 1, "jitter": False},
        }
    )
    integrator = mitsuba.load_dict({"type": "aov", "aovs": "index:shape_index"})
    image = np.array(mitsuba.render(scene, sensor=centre, integrator=integrator))[..., -1]
    names = [shape.id() for shape in scene.shapes()]
    lookup = np.array([int(n.split("_")[1]) if n.startswith("object_") else -1 for n in names])
    index = np.round(image).astype(np.int64) - 1  # 0 stands for no shape
    hit = (index >= 0) & (index < len(names))
    return np.where(hit, lookup[np.clip(index, 0, len(names) - 1)], -1)


def render(name: str, number: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return an image (H, W, 3) of a set, and the pair of each pixel: 0, 1 + its index in ALL_PAIRS, or IGNORE."""
    chosen, scene = SETS[name], draw(name, number)
    built = _scene(scene, chosen.size, chosen.samples)
    radiance = np.array(mitsuba.render(built, seed=number))[..., :3]
    rgb = np.clip(EXPOSURE * radiance, 0, 1) ** (1 / 2.2)
    image = np.asarray(np.round(255 * rgb), np.uint8)
    image = np.asarray(cv2.medianBlur(image, 3), np.uint8)  # few paths leave grain
    return image, _pairs(scene, _instances(built, chosen.size))


def _pairs(scene: TestScene, instance: NDArray[np.int64]) -> NDArray[np.uint8]:
    pairs = np.zeros(instance.shape, np.uint8)
    for index, standing in enumerate(scene.objects):
        mask = instance == index
        if standing.pair is None or not mask.any():
            continue
        rows, columns = np.nonzero(mask)
        side = max(np.ptp(rows), np.ptp(columns)) + 1
        visible = side >= SHORTEST_SIDE * instance.shape[1]
        pairs[mask] = 1 + ALL_PAIRS.index(standing.pair) if visible else IGNORE
    return pairs
