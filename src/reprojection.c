// Copyright 2026 zs_seg_ros developers
//
// Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
// in compliance with the License. You may obtain a copy of the License at
// http://www.apache.org/licenses/LICENSE-2.0
//
// Unless required by applicable law or agreed to in writing, software distributed under the License
// is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
// or implied. See the License for the specific language governing permissions and limitations under
// the License.

// Where the points of a newer image are in an older one, by depth and camera poses or by flow.

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "src/kernels.h"

#define NEAREST_M 0.01f

// The rays (x, y, 1) of a row times the depth, turned and shifted: places in the older image, and
// the depth there, 0 where it is unknown. y is the same for a row, so it is in `start`.
PART void project(
  const float * ray_x, const float * depth_m, const float * turn, const float * start,
  const float * shift, int32_t width,
  float * restrict x, float * restrict y, float * restrict there_m)
{
  for (int32_t i = 0; i < width; ++i) {
    const float across = (turn[0] * ray_x[i] + start[0]) * depth_m[i] + shift[0];
    const float down = (turn[3] * ray_x[i] + start[1]) * depth_m[i] + shift[1];
    const float ahead = (turn[6] * ray_x[i] + start[2]) * depth_m[i] + shift[2];
    const int32_t known = (ahead > NEAREST_M) & (depth_m[i] > 0);
    const float deep = known ? ahead : 0.0f;
    const float inverse = 1.0f / (deep > NEAREST_M ? deep : NEAREST_M);
    const float place_x = across * inverse, place_y = down * inverse;
    there_m[i] = deep;
    x[i] = place_x == place_x ? place_x : -1.0f;  // NaN of infinite depths
    y[i] = place_y == place_y ? place_y : -1.0f;
  }
}

// The depth of the older image at the nearest pixels; 0 outside.
PART void look_up(
  const float * x, const float * y, const float * depth_m, int32_t height, int32_t width,
  int32_t * restrict places, float * restrict found_m)
{
  for (int32_t i = 0; i < width; ++i) {
    places[i] = nearest_pixel(x[i], y[i], height, width);
  }
  for (int32_t i = 0; i < width; ++i) {
    found_m[i] = places[i] < 0 ? 0.0f : depth_m[places[i]];
  }
}

PART void choose(
  const float * x, const float * y, const float * deep_m, const float * found_m,
  const float * found_by_flow_m, const float * limits, int32_t row, int32_t width,
  float * restrict motion_x, float * restrict motion_y, uint8_t * restrict trust,
  uint8_t * restrict agrees, uint8_t * restrict measured)
{
  for (int32_t i = 0; i < width; ++i) {
    const int32_t known = deep_m[i] > 0;
    const int32_t same = (fabsf(found_m[i] - deep_m[i]) <= limits[0] * deep_m[i]) & known;
    const int32_t other = (fabsf(found_by_flow_m[i] - deep_m[i]) > limits[1] * deep_m[i]) & known &
      (found_by_flow_m[i] > 0);
    trust[i] = (uint8_t)((trust[i] & (other - 1)) | -same);
    agrees[i] = (uint8_t)same;
    measured[i] = (uint8_t)known;
    motion_x[i] = (same ? x[i] : motion_x[i]) - (float)i;
    motion_y[i] = (same ? y[i] : motion_y[i]) - (float)row;
  }
}

// turn (3, 3), shift (3): of a ray at one metre of depth, to places in the older image. limits:
// differences in depth in units of the depth, from which a point is another one, by geometry and by
// flow. motion_x, motion_y: the places by flow, which become motions. Returns 0, or -1 without
// memory.
FOR_EACH_PROCESSOR
int32_t zs_seg_reproject(
  const float * newer_m, const float * older_m, int32_t height, int32_t width,
  const float * ray_x, const float * ray_y, const float * turn, const float * shift,
  const float * limits, float * motion_x, float * motion_y, uint8_t * trust,
  uint8_t * agrees, uint8_t * measured)
{
  const size_t columns = (size_t)width;
  float * x = malloc(5 * columns * sizeof(float));
  int32_t * places = malloc(columns * sizeof(int32_t));
  if (!x || !places) {
    free(x);
    free(places);
    return -1;
  }
  float * y = x + columns, * deep_m = y + columns, * found_m = deep_m + columns;
  float * found_by_flow_m = found_m + columns;
  for (int32_t row = 0; row < height; ++row) {
    const size_t first = (size_t)row * columns;
    float start[3];
    for (int32_t i = 0; i < 3; ++i) {
      start[i] = turn[3 * i + 1] * ray_y[row] + turn[3 * i + 2];
    }
    project(ray_x, newer_m + first, turn, start, shift, width, x, y, deep_m);
    look_up(x, y, older_m, height, width, places, found_m);
    look_up(
      motion_x + first, motion_y + first, older_m, height, width, places, found_by_flow_m);
    choose(
      x, y, deep_m, found_m, found_by_flow_m, limits, row, width, motion_x + first,
      motion_y + first, trust + first, agrees + first, measured + first);
  }
  free(x);
  free(places);
  return 0;
}
