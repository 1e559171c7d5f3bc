# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The GLSL of the renderer: patterns in the coordinates of objects, light with soft shadows, and ids of objects.

Patterns: 0 plain, 1 stripes, 2 checks, 3 blotches, 4 wood, 5 dots, 6 a decal on two sides, 7 the patches of a soccer
ball, 8 one band, 9 rings around an axis, 10 joints of tiles or planks.
"""

SHADOW_VERTEX = """
#version 330
uniform mat4 light_matrix; uniform mat4 model;
in vec3 position;
void main() { gl_Position = light_matrix * model * vec4(position, 1.0); }
"""

SHADOW_FRAGMENT = """
#version 330
void main() {}
"""

VERTEX = """
#version 330
uniform mat4 camera_matrix; uniform mat4 light_matrix; uniform mat4 model;
in vec3 position; in vec3 normal; in float part;
out vec3 own; out vec3 world; out vec3 facing; out vec4 in_light; flat out float of_part;
void main() {
    own = position; of_part = part;
    vec4 placed = model * vec4(position, 1.0);
    world = placed.xyz; facing = normalize(mat3(model) * normal);
    in_light = light_matrix * placed;
    gl_Position = camera_matrix * placed;
}
"""

FRAGMENT = """
#version 330
uniform vec3 colour; uniform vec3 second; uniform vec3 of_parts; uniform int pattern; uniform vec4 shape;
uniform vec3 axis; uniform vec3 offset;
uniform vec3 eye; uniform vec3 light; uniform vec3 light_colour; uniform vec3 sky; uniform vec3 ground;
uniform vec3 fill; uniform float fill_strength; uniform float gloss; uniform float shine; uniform float shadow;
uniform float softness; uniform float linear; uniform float contact; uniform int discs; uniform vec3 disc[32];
uniform int object_id; uniform sampler2D depths;
in vec3 own; in vec3 world; in vec3 facing; in vec4 in_light; flat in float of_part;
layout(location = 0) out vec4 shaded; layout(location = 1) out float id;

float hash(vec3 p) { return fract(sin(dot(p, vec3(127.1, 311.7, 74.7))) * 43758.5453); }
float noise(vec3 p) {
    vec3 i = floor(p), f = fract(p); f = f * f * (3.0 - 2.0 * f);
    vec2 level;
    for (int k = 0; k < 2; k++) {
        vec3 j = i + vec3(0, 0, k);
        float front = mix(hash(j), hash(j + vec3(1, 0, 0)), f.x);
        level[k] = mix(front, mix(hash(j + vec3(0, 1, 0)), hash(j + vec3(1, 1, 0)), f.x), f.y);
    }
    return mix(level.x, level.y, f.z);
}
// How much of the second colour a point has; shape: frequency, share of the second colour, sharpness, spare.
float mark(vec3 p) {
    float t = dot(p, axis);
    if (pattern == 1) return step(fract(t * shape.x), shape.y);
    if (pattern == 2) { vec3 c = floor(p * shape.x + 0.001); return mod(c.x + c.y + c.z, 2.0); }
    if (pattern == 3) return smoothstep(1.0 - shape.y - shape.z, 1.0 - shape.y + shape.z,
                                        0.65 * noise(p * shape.x) + 0.35 * noise(p * shape.x * 2.7));
    if (pattern == 4) return 0.5 + 0.5 * sin(40.0 * noise(p * vec3(1.0, 4.0, 4.0) * shape.x * 0.3) + 12.0 * t);
    if (pattern == 5) { vec3 c = fract(p * shape.x) - 0.5; return step(length(c), 0.6 * sqrt(shape.y)); }
    if (pattern == 6) {
        vec3 side = normalize(abs(axis.z) < 0.9 ? cross(axis, vec3(0,0,1)) : vec3(1,0,0)); vec3 up = cross(axis, side);
        vec2 q = vec2(dot(p, side), dot(p, up)); float r = shape.w > 0.5 ? length(q) : max(abs(q.x), abs(q.y));
        float inside = step(r, shape.y); return shape.x > 4.0 ? inside * step(0.5 * shape.y, r) : inside;
    }
    if (pattern == 7) {
        vec3 n = normalize(p); float best = -1.0; float g = 1.618034; float l = 1.0 / sqrt(1.0 + g * g);
        for (int k = 0; k < 12; k++) {
            float a = (k & 1) == 0 ? l : -l; float b = (k & 2) == 0 ? g * l : -g * l; int m = k / 4;
            vec3 c = m == 0 ? vec3(0, a, b) : m == 1 ? vec3(a, b, 0) : vec3(b, 0, a);
            best = max(best, dot(n, c));
        }
        return step(cos(shape.y), best);
    }
    if (pattern == 8) return step(abs(t - shape.x), shape.y);
    if (pattern == 9) return step(fract(length(p - axis * t) * shape.x), shape.y);
    if (pattern == 10) {
        vec3 c = fract(p * shape.x * vec3(1.0, 1.0 / shape.z, 1.0));
        return step(min(c.x, c.y), shape.y);
    }
    return 0.0;
}
float lit() {
    vec3 p = in_light.xyz / in_light.w * 0.5 + 0.5;
    if (p.z > 1.0 || any(lessThan(p.xy, vec2(0.0))) || any(greaterThan(p.xy, vec2(1.0)))) return 1.0;
    float sum = 0.0;
    for (int x = -1; x <= 1; x += 2) for (int y = -1; y <= 1; y += 2)
        sum += step(p.z - 0.004, texture(depths, p.xy + vec2(x, y + 0.5 * x) * softness).r);
    return sum / 4.0;
}
void main() {
    vec3 base = of_part > 0.5 ? of_parts : mix(colour, second, mark(own + offset));
    if (linear > 0.5) base = pow(base, vec3(2.2));
    vec3 view = normalize(eye - world); vec3 n = normalize(facing); if (dot(n, view) < 0.0) n = -n;
    float toward = max(dot(n, light), 0.0);
    float reached = toward > 0.0 && shadow > 0.0 ? mix(1.0, lit(), shadow) : 1.0;
    float direct = toward * reached;
    float open = 1.0;
    float height = max(world.z, 0.0);
    for (int k = 0; k < discs && object_id == 0 && height < 0.1; k++) {
        vec2 away = (world.xy - disc[k].xy) / disc[k].z; float d = dot(away, away);
        if (d < 4.0) open *= 1.0 - contact * exp(-d * d) * exp(-3.0 * height / disc[k].z);
    }
    vec3 around = mix(ground, sky, 0.5 + 0.5 * n.z) * open;
    vec3 result = base * (around + light_colour * direct + fill_strength * max(dot(n, fill), 0.0));
    vec3 halfway = normalize(view + light);
    result += light_colour * gloss * pow(max(dot(n, halfway), 0.0), shine) * reached;
    result += sky * gloss * 0.25 * pow(1.0 - max(dot(n, view), 0.0), 4.0);
    if (linear > 0.5) result = pow(result, vec3(1.0 / 2.2));
    shaded = vec4(result, 1.0); id = float(object_id) / 255.0;
}
"""
