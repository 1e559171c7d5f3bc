# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Random tabletop scenes, rendered with pybullet's software renderer (no display, no GPU).

A scene is a value (`Scene`), drawn from a seed; `Renderer` turns it and a `Camera` into an image, depth and
an instance mask. Units are metres; the world's z axis points up and the table top is z = 0.
"""

from __future__ import annotations

import colorsys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pybullet
from numpy.typing import NDArray

from training.meshes import Mesh, build_bodies, build_clutter, build_shapes
from training.names import ALL_PAIRS, SEEN_PAIRS, Pair

WIDTH, HEIGHT = 320, 240
NEAR_M, FAR_M = 0.05, 12.0
TABLE_HEIGHT_M = 0.7
TABLE_HALF_WIDTH_M = 0.6

# Hue in degrees, saturation and value in 0..1: each colour's (low, high). Chosen apart enough that a person
# names them without hesitation in even light.
COLOUR_RANGES: dict[str, tuple[tuple[float, float], tuple[float, float], tuple[float, float]]] = {
    "red": ((354, 364), (0.80, 1.0), (0.65, 0.95)),
    "green": ((100, 145), (0.60, 1.0), (0.40, 0.80)),
    "blue": ((208, 232), (0.70, 1.0), (0.55, 0.95)),
    "yellow": ((50, 58), (0.75, 1.0), (0.88, 1.0)),
    "orange": ((22, 31), (0.88, 1.0), (0.90, 1.0)),
    "purple": ((266, 285), (0.55, 0.9), (0.42, 0.75)),
    "white": ((0, 360), (0.0, 0.05), (0.92, 1.0)),
    "black": ((0, 360), (0.0, 0.15), (0.04, 0.12)),
    "pink": ((322, 345), (0.35, 0.60), (0.92, 1.0)),
    "brown": ((18, 28), (0.55, 0.75), (0.30, 0.46)),
}
# Kind -> how often it stands as its mesh does; otherwise it lies on its side. Others always stand.
UPRIGHT_SHARE = {"block": 0.8, "cylinder": 0.8}
TEXTURE_COUNT = 48


@dataclass(frozen=True)
class Placement:
    """An object on the table: kind, size (largest extent), position and colour (r, g, b in 0..1)."""

    pair: Pair | None  # None: clutter without a name
    mesh: str
    size_m: float
    position_m: tuple[float, float, float]
    quaternion: tuple[float, float, float, float]
    colour: tuple[float, float, float]


@dataclass(frozen=True)
class Surface:
    colour: tuple[float, float, float]
    texture: int | None  # index of a procedural texture


@dataclass(frozen=True)
class Light:
    direction: tuple[float, float, float]
    colour: tuple[float, float, float]
    ambient: float
    diffuse: float
    specular: float
    shadow: bool


@dataclass(frozen=True)
class Scene:
    objects: tuple[Placement, ...]
    table: Surface
    floor: Surface
    light: Light


@dataclass(frozen=True)
class Camera:
    """Position and target of a pinhole camera, and its vertical field of view in degrees."""

    eye_m: tuple[float, float, float]
    target_m: tuple[float, float, float]
    fov_deg: float
    roll_deg: float = 0.0


@dataclass(frozen=True)
class Rendering:
    """The images of one camera.

    rgb (H, W, 3) uint8; depth_m (H, W) float32 along the optical axis; instance (H, W) uint8: 0 for everything
    without a name, i + 1 for scene.objects[i].
    """

    rgb: NDArray[np.uint8]
    depth_m: NDArray[np.float32]
    instance: NDArray[np.uint8]


def _uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(rng.uniform(low, high))


def random_colour(name: str, rng: np.random.Generator) -> tuple[float, float, float]:
    hue, saturation, value = (_uniform(rng, *limits) for limits in COLOUR_RANGES[name])
    return colorsys.hsv_to_rgb((hue % 360) / 360, saturation, value)


def _quaternion_product(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    ax, ay, az, aw = a
    bx, by, bz, bw = b
    return np.array(
        [
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
            aw * bw - ax * bx - ay * by - az * bz,
        ]
    )


def _random_rotation(kind: str, rng: np.random.Generator) -> NDArray[np.float64]:
    if kind in ("ball", "soccer ball"):
        quaternion = rng.normal(size=4)
        return quaternion / np.linalg.norm(quaternion)
    yaw = _uniform(rng, 0, 2 * np.pi)
    turn = np.array([0, 0, np.sin(yaw / 2), np.cos(yaw / 2)])
    if kind == "cube" or rng.random() < UPRIGHT_SHARE.get(kind, 1.0):
        return turn
    axis = _uniform(rng, 0, 2 * np.pi) if kind != "block" else np.pi / 2 * int(rng.integers(4))
    half = np.pi / 4
    tip = np.array([np.sin(half) * np.cos(axis), np.sin(half) * np.sin(axis), 0, np.cos(half)])
    return _quaternion_product(turn, tip)


def rotate(points: NDArray[np.float64], quaternion: Sequence[float]) -> NDArray[np.float64]:
    """Points (N, 3) turned by a unit quaternion (x, y, z, w)."""
    matrix = np.array(pybullet.getMatrixFromQuaternion(quaternion)).reshape(3, 3)
    return np.asarray(points @ matrix.T)


class SceneSampler:
    """Samples scenes and cameras; the same seed gives the same ones."""

    def __init__(self, pairs: Sequence[Pair] = SEEN_PAIRS, unseen_share: float = 0.0) -> None:
        """Take `unseen_share` of the objects from pairs outside `pairs`, the others from it."""
        self.pairs = tuple(pairs)
        self.other_pairs = tuple(pair for pair in ALL_PAIRS if pair not in set(pairs))
        self.unseen_share = unseen_share
        self.meshes = build_bodies() | build_clutter(CLUTTER_COUNT)

    def scene(self, rng: np.random.Generator) -> Scene:
        objects: list[Placement] = []
        taken: list[tuple[float, float, float]] = []
        for _ in range(int(rng.integers(9, 17))):
            placement = self._placement(self._pair(rng), taken, rng)
            if placement is not None:
                objects.append(placement)
        for _ in range(int(rng.integers(0, 4))):
            placement = self._placement(None, taken, rng)
            if placement is not None:
                objects.append(placement)
        return Scene(tuple(objects), _random_surface(rng), _random_surface(rng), _random_light(rng))

    def _pair(self, rng: np.random.Generator) -> Pair:
        pairs = self.other_pairs if rng.random() < self.unseen_share else self.pairs
        return pairs[int(rng.integers(len(pairs)))]

    def _placement(
        self, pair: Pair | None, taken: list[tuple[float, float, float]], rng: np.random.Generator
    ) -> Placement | None:
        """Return a free place on the table; None after twenty tries without one."""
        size_m = _uniform(rng, 0.08, 0.20)
        if pair is None:
            mesh, colour = f"clutter {int(rng.integers(CLUTTER_COUNT))}", _clutter_colour(rng)
            kind = mesh
        else:
            kind = mesh = pair[1]
            colour = random_colour(pair[0], rng)
        for _ in range(20):
            x, y = _uniform(rng, -0.48, 0.48), _uniform(rng, -0.48, 0.48)
            radius = 0.5 * size_m
            if all(np.hypot(x - ox, y - oy) > 0.95 * (radius + r) for ox, oy, r in taken):
                break
        else:
            return None
        taken.append((x, y, radius))
        quaternion = _random_rotation(kind, rng)
        turned = rotate(self.meshes[mesh].vertices, quaternion)
        lowest = float(turned[:, 2].min()) * size_m
        return Placement(
            pair, mesh, size_m, (x, y, -lowest), tuple(float(q) for q in quaternion), colour
        )

    def camera(self, rng: np.random.Generator) -> Camera:
        target = (_uniform(rng, -0.25, 0.25), _uniform(rng, -0.25, 0.25), _uniform(rng, 0.0, 0.08))
        distance = float(np.exp(_uniform(rng, np.log(0.60), np.log(1.5))))
        azimuth = _uniform(rng, 0, 2 * np.pi)
        elevation = np.radians(_uniform(rng, 22, 65))
        offset = distance * np.array(
            [
                np.cos(elevation) * np.cos(azimuth),
                np.cos(elevation) * np.sin(azimuth),
                np.sin(elevation),
            ]
        )
        eye = np.array(target) + offset
        return Camera(
            (float(eye[0]), float(eye[1]), float(eye[2])),
            target,
            _uniform(rng, 40, 60),
            float(rng.normal(0, 5)),
        )


CLUTTER_COUNT = 60


def _clutter_colour(rng: np.random.Generator) -> tuple[float, float, float]:
    """Give half of the clutter the colours of the named objects, so that colour alone identifies none."""
    if rng.random() < 0.5:
        return random_colour(list(COLOUR_RANGES)[int(rng.integers(len(COLOUR_RANGES)))], rng)
    grey = _uniform(rng, 0.2, 0.8)
    return (grey, grey * _uniform(rng, 0.85, 1.1), grey * _uniform(rng, 0.85, 1.1))


def _random_surface(rng: np.random.Generator) -> Surface:
    tint = colorsys.hsv_to_rgb(rng.random(), _uniform(rng, 0, 0.35), _uniform(rng, 0.25, 1.0))
    if rng.random() < 0.3:
        tint = colorsys.hsv_to_rgb(
            _uniform(rng, 20, 42) / 360, _uniform(rng, 0.2, 0.6), _uniform(rng, 0.4, 0.9)
        )  # wood
    texture = int(rng.integers(TEXTURE_COUNT)) if rng.random() < 0.7 else None
    return Surface(tint, texture)


def _random_light(rng: np.random.Generator) -> Light:
    azimuth, elevation = _uniform(rng, 0, 2 * np.pi), np.radians(_uniform(rng, 35, 85))
    warmth = _uniform(rng, -0.06, 0.06)
    ambient = _uniform(rng, 0.40, 0.62)
    return Light(
        direction=(
            float(np.cos(elevation) * np.cos(azimuth)),
            float(np.cos(elevation) * np.sin(azimuth)),
            float(np.sin(elevation)),
        ),
        colour=(1.0 + min(0.0, warmth), 1.0 - abs(warmth) / 2, 1.0 - max(0.0, warmth)),
        ambient=ambient,
        diffuse=_uniform(rng, 0.9, 1.1) - ambient,
        specular=_uniform(rng, 0.0, 0.2),
        shadow=bool(rng.random() < 0.85),
    )


def _procedural_texture(index: int) -> NDArray[np.uint8]:
    """A grey 128x128 pattern: planks, tiles, checks, blotches or grain; surfaces give it their colour."""
    rng = np.random.default_rng(10_000 + index)
    y, x = np.mgrid[0:128, 0:128] / 128.0
    style = index % 5
    if style == 0:  # planks with grain
        grain = np.sin(2 * np.pi * (x * rng.integers(2, 5) + 0.3 * np.sin(2 * np.pi * y * 2)) * 4)
        image = 0.85 + 0.08 * grain - 0.3 * (np.abs((x * 4) % 1 - 0.5) > 0.47)
    elif style == 1:  # tiles with joints
        n = int(rng.integers(2, 6))
        image = 1.0 - 0.35 * ((np.minimum((x * n) % 1, (y * n) % 1)) < 0.06)
    elif style == 2:  # checks
        n = int(rng.integers(1, 5))
        image = np.where(
            ((x * n * 2).astype(int) + (y * n * 2).astype(int)) % 2, 1.0, _uniform(rng, 0.55, 0.9)
        )
    elif style == 3:  # blotches
        coarse = rng.random((9, 9))
        coarse[-1], coarse[:, -1] = coarse[0], coarse[:, 0]
        i, j = y * 8, x * 8
        a, b, u, v = i.astype(int), j.astype(int), i % 1, j % 1
        top = coarse[a, b] * (1 - v) + coarse[a, b + 1] * v
        bottom = coarse[a + 1, b] * (1 - v) + coarse[a + 1, b + 1] * v
        image = 0.65 + 0.35 * (top * (1 - u) + bottom * u)
    else:  # fine grain
        image = 0.82 + 0.18 * rng.random((128, 128))
    grey = np.clip(image * 255, 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


class Renderer:
    """Owns one pybullet world until close(). Use one in each process: pybullet is not thread-safe."""

    def __init__(self) -> None:
        from PIL import Image

        self._client = pybullet.connect(pybullet.DIRECT)
        self._folder = tempfile.TemporaryDirectory(prefix="tabletop_meshes_")
        folder = Path(self._folder.name)
        shapes = build_shapes()
        self._detailed = {kind for kind, shape in shapes.items() if shape.details is not None}
        bodies = {kind: shape.body for kind, shape in shapes.items()}
        details = {_details_of(kind): shapes[kind].details for kind in self._detailed}
        for name, mesh in (bodies | details | build_clutter(CLUTTER_COUNT)).items():
            mesh.write(folder / f"{name.replace(' ', '_')}.obj")
        for index in range(TEXTURE_COUNT):
            Image.fromarray(_procedural_texture(index)).save(folder / f"texture_{index}.png")
        _write_plane(folder / "plane.obj", tiles=3)

    @property
    def folder(self) -> Path:
        """The folder of the meshes, NAME.obj, to which others may be added."""
        return Path(self._folder.name)

    def close(self) -> None:
        pybullet.disconnect(self._client)
        self._folder.cleanup()

    def load(self, scene: Scene) -> None:
        """Place the scene's objects; `render` may then be called for any number of cameras."""
        pybullet.resetSimulation(physicsClientId=self._client)
        self._instance_of_body: dict[int, int] = {}
        self._scene = scene
        self._light = scene.light
        self._add_plane(scene.table, TABLE_HALF_WIDTH_M, -0.0005)
        self._add_plane(scene.floor, 6.0, -TABLE_HEIGHT_M)
        for index, placement in enumerate(scene.objects):
            bodies = [self._add_object(placement, placement.mesh, placement.colour)]
            if placement.mesh in self._detailed:
                standing_out = (0.05,) * 3 if max(placement.colour) > 0.6 else (0.95,) * 3
                details = _details_of(placement.mesh)
                bodies.append(self._add_object(placement, details, standing_out))
            if placement.pair is not None:
                self._instance_of_body |= dict.fromkeys(bodies, index + 1)

    def _add_plane(self, surface: Surface, half_width_m: float, z_m: float) -> None:
        shape = pybullet.createVisualShape(
            pybullet.GEOM_MESH,
            fileName=str(Path(self._folder.name) / "plane.obj"),
            meshScale=[half_width_m, half_width_m, 1],
            rgbaColor=[*surface.colour, 1],
            specularColor=[0, 0, 0],
            physicsClientId=self._client,
        )
        body = pybullet.createMultiBody(0, -1, shape, [0, 0, z_m], physicsClientId=self._client)
        if surface.texture is not None:
            path = Path(self._folder.name) / f"texture_{surface.texture}.png"
            texture = pybullet.loadTexture(str(path), physicsClientId=self._client)
            pybullet.changeVisualShape(
                body, -1, textureUniqueId=texture, physicsClientId=self._client
            )

    def _add_object(
        self, placement: Placement, mesh: str, colour: tuple[float, float, float]
    ) -> int:
        shape = pybullet.createVisualShape(
            pybullet.GEOM_MESH,
            fileName=str(Path(self._folder.name) / f"{mesh.replace(' ', '_')}.obj"),
            meshScale=[placement.size_m] * 3,
            rgbaColor=[*colour, 1],
            physicsClientId=self._client,
        )
        return int(
            pybullet.createMultiBody(
                0,
                -1,
                shape,
                placement.position_m,
                placement.quaternion,
                physicsClientId=self._client,
            )
        )

    def move(self, index: int, position_m: tuple[float, float, float]) -> None:
        """Move the scene's object `index`, which has a name, to another position."""
        quaternion = self._scene.objects[index].quaternion
        for body, instance in self._instance_of_body.items():
            if instance == index + 1:
                pybullet.resetBasePositionAndOrientation(
                    body, position_m, quaternion, physicsClientId=self._client
                )

    def render(self, camera: Camera, size: tuple[int, int] = (HEIGHT, WIDTH)) -> Rendering:
        """Render an image of `size` (H, W)."""
        height, width = size
        view = view_matrix(camera)
        projection = pybullet.computeProjectionMatrixFOV(
            camera.fov_deg, width / height, NEAR_M, FAR_M
        )
        light = self._light
        _, _, rgba, buffer, bodies = pybullet.getCameraImage(
            width,
            height,
            view,
            projection,
            lightDirection=light.direction,
            lightColor=light.colour,
            lightDistance=3.0,
            shadow=int(light.shadow),
            lightAmbientCoeff=light.ambient,
            lightDiffuseCoeff=light.diffuse,
            lightSpecularCoeff=light.specular,
            renderer=pybullet.ER_TINY_RENDERER,
            physicsClientId=self._client,
        )
        rgb = np.asarray(rgba, dtype=np.uint8).reshape(height, width, 4)[..., :3].copy()
        z = np.asarray(buffer, dtype=np.float64).reshape(height, width)
        depth_m = (FAR_M * NEAR_M / (FAR_M - (FAR_M - NEAR_M) * z)).astype(np.float32)
        lookup = np.zeros(256, np.uint8)
        for body, instance in self._instance_of_body.items():
            lookup[body] = instance
        body_image = np.asarray(bodies, dtype=np.int64).reshape(height, width)
        instance = np.where(body_image >= 0, lookup[np.clip(body_image, 0, 255)], 0)
        return Rendering(rgb, depth_m, instance.astype(np.uint8))


def _details_of(kind: str) -> str:
    return f"{kind} details"


def view_matrix(camera: Camera) -> list[float]:
    """Return the OpenGL view matrix, in pybullet's column-major order, with the camera's roll."""
    forward = np.subtract(camera.target_m, camera.eye_m)
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0, 0, 1])
    right /= np.linalg.norm(right)
    up = np.cross(right, forward)
    roll = np.radians(camera.roll_deg)
    rolled_up = np.cos(roll) * up + np.sin(roll) * right
    return list(pybullet.computeViewMatrix(camera.eye_m, camera.target_m, rolled_up.tolist()))


def _write_plane(path: Path, tiles: int) -> None:
    """A square of many small triangles: the renderer garbles large ones that reach behind the camera."""
    n = 24
    lines = []
    for row in range(n + 1):
        for column in range(n + 1):
            x, y = column / n, row / n
            lines += [f"v {2 * x - 1:.5f} {2 * y - 1:.5f} 0", f"vt {x * tiles:.5f} {y * tiles:.5f}"]
    lines.append("vn 0 0 1")
    for row in range(n):
        for column in range(n):
            a = row * (n + 1) + column + 1
            b, c, d = a + 1, a + n + 2, a + n + 1
            lines += [f"f {a}/{a}/1 {b}/{b}/1 {c}/{c}/1", f"f {a}/{a}/1 {c}/{c}/1 {d}/{d}/1"]
    path.write_text("\n".join(lines) + "\n")


def as_mesh_vertices(placement: Placement, meshes: dict[str, Mesh]) -> NDArray[np.float64]:
    """Return the world coordinates (N, 3) in metres of a placed object's vertices."""
    vertices = meshes[placement.mesh].vertices * placement.size_m
    return rotate(vertices, placement.quaternion) + np.array(placement.position_m)
