# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Renders varied scenes with OpenGL on the processor (Mesa's llvmpipe through EGL): no display, no GPU."""

from __future__ import annotations

from dataclasses import dataclass, field

import moderngl
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from training.varied.meshes import Body
from training.varied.shaders import FRAGMENT, SHADOW_FRAGMENT, SHADOW_VERTEX, VERTEX

SHADOW_PX = 1024
SHADOW_RADIUS_M = 1.0
NEAR_M, FAR_M = 0.05, 12.0
CREASE = np.cos(np.radians(38))
Vector = tuple[float, float, float]


@dataclass(frozen=True)
class Look:
    """The surface of an object or a plane; `axis`, `offset` and `shape` are those of the shader's pattern."""

    colour: Vector
    second: Vector
    of_parts: Vector
    pattern: int = 0
    shape: tuple[float, float, float, float] = (4, 0.3, 0.05, 0)
    axis: Vector = (0, 0, 1)
    offset: Vector = (0, 0, 0)
    gloss: float = 0.0
    shine: float = 20.0


@dataclass(frozen=True)
class Item:
    """A body of the library in the scene. number: 1 and up for objects with names, 0 for all others."""

    body: int
    model: NDArray[np.float64]
    look: Look
    number: int
    cast: bool = True


@dataclass(frozen=True)
class Lighting:
    direction: Vector
    colour: Vector
    sky: Vector
    ground: Vector
    fill: Vector
    fill_strength: float
    shadow: float
    softness: float
    linear: bool
    contact: float


@dataclass(frozen=True)
class VariedScene:
    """What the renderer draws; `discs` are (x, y, radius) of objects, which darken the table around them."""

    items: tuple[Item, ...]
    lighting: Lighting
    background: Vector
    discs: tuple[Vector, ...] = field(default=())


def corner_normals(
    body: Body,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return corners (3 F, 3), their normals, smooth except across creases, and their part flags (3 F)."""
    triangles = np.array(
        [(f[0], f[i], f[i + 1]) for f in body.mesh.faces for i in range(1, len(f) - 1)]
    )
    parts = np.repeat(body.is_part, [len(f) - 2 for f in body.mesh.faces])
    corners = body.mesh.vertices[triangles]
    face = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    keep = np.linalg.norm(face, axis=1) > 1e-9
    triangles, parts, corners, face = triangles[keep], parts[keep], corners[keep], face[keep]
    unit = face / np.linalg.norm(face, axis=1, keepdims=True)
    _, same = np.unique(np.round(corners.reshape(-1, 3), 5), axis=0, return_inverse=True)
    count = len(same)
    at = csr_matrix((np.ones(count), (np.arange(count), same.ravel())))
    pairs = (at @ at.T).tocoo()
    own = np.repeat(unit, 3, axis=0)
    close = (own[pairs.row] * own[pairs.col]).sum(axis=1) > CREASE
    mixed = csr_matrix(
        (np.ones(int(close.sum())), (pairs.row[close], pairs.col[close])), (count, count)
    )
    normals = mixed @ np.repeat(face, 3, axis=0)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True) + 1e-12
    return corners.reshape(-1, 3), normals, np.repeat(parts, 3).astype(np.float64)


def plane_body(cells: int = 1) -> Body:
    """Return a square from -1 to 1 at z = 0."""
    from training.meshes import Mesh

    corners = np.array([[-1.0, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]])
    return Body(Mesh(corners, [(0, 1, 2), (0, 2, 3)]), np.zeros(2, np.bool_))


class VariedRenderer:
    """Owns one OpenGL context and a library of bodies until close(). Body 0 is a square plane."""

    def __init__(self, bodies: list[Body], size: tuple[int, int] = (480, 640)) -> None:
        self._context = moderngl.create_standalone_context(backend="egl")
        self._context.enable(moderngl.DEPTH_TEST)
        self._draw = self._context.program(vertex_shader=VERTEX, fragment_shader=FRAGMENT)
        self._cast = self._context.program(
            vertex_shader=SHADOW_VERTEX, fragment_shader=SHADOW_FRAGMENT
        )
        self._arrays = []
        for body in [plane_body(), *bodies]:
            corners, normals, parts = corner_normals(body)
            data = np.column_stack([corners, normals, parts]).astype(np.float32)
            buffer = self._context.buffer(data.tobytes())
            layout = [(buffer, "3f 3f 1f", "position", "normal", "part")]
            self._arrays.append(
                (
                    self._context.vertex_array(self._draw, layout),
                    self._context.vertex_array(self._cast, [(buffer, "3f 16x", "position")]),
                )
            )
        height, width = size
        self._size = size
        self._image = self._context.texture((width, height), 4)
        self._ids = self._context.texture((width, height), 1)
        depth = self._context.depth_renderbuffer((width, height))
        self._frame = self._context.framebuffer([self._image, self._ids], depth)
        self._depths = self._context.depth_texture((SHADOW_PX, SHADOW_PX))
        self._depths.compare_func = ""
        self._shadow_frame = self._context.framebuffer(depth_attachment=self._depths)

    def close(self) -> None:
        self._context.release()

    def render(
        self, scene: VariedScene, eye: Vector, target: Vector, fov_deg: float, roll_deg: float
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Return rgb (H, W, 3) and the numbers of objects (H, W), both uint8."""
        height, width = self._size
        camera = _perspective(fov_deg, width / height) @ _view(eye, target, roll_deg)
        light = _light_matrix(scene.lighting.direction)
        self._shadow_frame.use()
        self._shadow_frame.clear(depth=1.0)
        self._cast["light_matrix"].write(_column_major(light))
        for item in scene.items:
            if item.cast:
                self._cast["model"].write(_column_major(item.model))
                self._arrays[item.body][1].render()
        self._frame.use()
        self._context.clear(*scene.background, 1.0)
        self._ids.write(np.zeros((height, width), np.uint8).tobytes())
        self._depths.use(0)
        self._set_scene(scene, camera, light, eye)
        for item in scene.items:
            self._set_item(item)
            self._arrays[item.body][0].render()
        rgba = np.frombuffer(self._image.read(), np.uint8).reshape(height, width, 4)
        ids = np.frombuffer(self._ids.read(alignment=1), np.uint8).reshape(height, width)
        return rgba[::-1, :, :3].copy(), ids[::-1].copy()

    def _set_scene(
        self,
        scene: VariedScene,
        camera: NDArray[np.float64],
        light: NDArray[np.float64],
        eye: Vector,
    ) -> None:
        lighting, draw = scene.lighting, self._draw
        draw["camera_matrix"].write(_column_major(camera))
        draw["light_matrix"].write(_column_major(light))
        discs = np.zeros((32, 3), np.float32)
        discs[: len(scene.discs)] = scene.discs
        draw["disc"].write(discs.tobytes())
        values = {
            "eye": eye,
            "light": lighting.direction,
            "light_colour": lighting.colour,
            "sky": lighting.sky,
            "ground": lighting.ground,
            "fill": lighting.fill,
            "fill_strength": lighting.fill_strength,
            "shadow": lighting.shadow,
            "softness": lighting.softness,
            "linear": float(lighting.linear),
            "contact": lighting.contact,
            "discs": len(scene.discs),
        }
        for name, value in values.items():
            draw[name].value = value

    def _set_item(self, item: Item) -> None:
        draw, look = self._draw, item.look
        draw["model"].write(_column_major(item.model))
        for name in (
            "colour",
            "second",
            "of_parts",
            "pattern",
            "shape",
            "axis",
            "offset",
            "gloss",
            "shine",
        ):
            draw[name].value = getattr(look, name)
        draw["object_id"].value = item.number


def _column_major(matrix: NDArray[np.float64]) -> bytes:
    return np.ascontiguousarray(matrix.T, np.float32).tobytes()


def _view(eye: Vector, target: Vector, roll_deg: float) -> NDArray[np.float64]:
    forward = np.subtract(target, eye)
    forward /= np.linalg.norm(forward)
    up = np.array([0.0, 0.0, 1.0]) if abs(forward[2]) < 0.99 else np.array([0.0, 1.0, 0.0])
    right = np.cross(forward, up)
    right /= np.linalg.norm(right)
    up = np.cross(right, forward)
    c, s = np.cos(np.radians(roll_deg)), np.sin(np.radians(roll_deg))
    right, up = c * right - s * up, c * up + s * right
    matrix = np.eye(4)
    matrix[:3, :3] = np.stack([right, up, -forward])
    matrix[:3, 3] = -matrix[:3, :3] @ np.array(eye)
    return matrix


def _perspective(fov_deg: float, aspect: float) -> NDArray[np.float64]:
    f = 1 / np.tan(np.radians(fov_deg) / 2)
    matrix = np.zeros((4, 4))
    matrix[0, 0], matrix[1, 1], matrix[3, 2] = f / aspect, f, -1
    matrix[2, 2] = (FAR_M + NEAR_M) / (NEAR_M - FAR_M)
    matrix[2, 3] = 2 * FAR_M * NEAR_M / (NEAR_M - FAR_M)
    return matrix


def _light_matrix(direction: Vector) -> NDArray[np.float64]:
    """Return an orthographic view along the light that holds the table."""
    eye = (2 * direction[0], 2 * direction[1], 2 * direction[2])
    scale = np.diag([1 / SHADOW_RADIUS_M, 1 / SHADOW_RADIUS_M, -0.5, 1.0])
    scale[2, 3] = -1.0
    return scale @ _view(eye, (0, 0, 0), 0)
