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

// The label image of an older image, carried to a newer one.

#include <stdint.h>
#include <stdlib.h>

#include "src/kernels.h"

// Where the pixels of a row are in the older image, and its trust in them; 0 where they are not.
PART void look_up(
  const float * x, const float * y, const uint8_t * trust, int32_t height, int32_t width,
  int32_t * restrict places, float * restrict trusts)
{
  for (int32_t i = 0; i < width; ++i) {
    const int32_t place = nearest_pixel(x[i], y[i], height, width);
    const int32_t inside = -(place >= 0);
    places[i] = place & inside;
    trusts[i] = (float)(trust[i] & inside);
  }
}

PART void fade(
  const float * trusts, float factor, int32_t width,
  int32_t * restrict ids, const int32_t * restrict old, int32_t * restrict shares)
{
  for (int32_t i = 0; i < width; ++i) {
    const int32_t share = (int32_t)rounded(factor * (float)old[i] * trusts[i]);
    const int32_t labelled = -((trusts[i] > 0.0f) & (ids[i] > 0));
    shares[i] = (share < 1 ? 1 : share) & labelled;
    ids[i] &= labelled;
  }
}

// Returns 0, or -1 without memory.
FOR_EACH_PROCESSOR
int32_t zs_seg_warp(
  const void * label, int32_t id_bytes, const uint8_t * confidence, int32_t height, int32_t width,
  const float * x, const float * y, const uint8_t * trust, float factor,
  void * new_label, uint8_t * new_confidence)
{
  const uint8_t * label_8 = label;
  const uint16_t * label_16 = label;
  const size_t columns = (size_t)width;
  float * trusts = malloc(columns * sizeof(float));
  int32_t * places = malloc(4 * columns * sizeof(int32_t));
  if (!trusts || !places) {
    free(trusts);
    free(places);
    return -1;
  }
  int32_t * ids = places + columns, * old = ids + columns, * shares = old + columns;
  for (int32_t row = 0; row < height; ++row) {
    const size_t first = (size_t)row * columns;
    look_up(x + first, y + first, trust + first, height, width, places, trusts);
    for (int32_t i = 0; i < width; ++i) {
      ids[i] = id_bytes == 1 ? label_8[places[i]] : label_16[places[i]];
      old[i] = confidence[places[i]];
    }
    fade(trusts, factor, width, ids, old, shares);
    uint8_t * out_8 = (uint8_t *)new_label + first;
    uint16_t * out_16 = (uint16_t *)new_label + first;
    for (int32_t i = 0; i < width; ++i) {
      new_confidence[first + i] = (uint8_t)shares[i];
    }
    for (int32_t i = 0; i < width && id_bytes == 1; ++i) {
      out_8[i] = (uint8_t)ids[i];
    }
    for (int32_t i = 0; i < width && id_bytes == 2; ++i) {
      out_16[i] = (uint16_t)ids[i];
    }
  }
  free(trusts);
  free(places);
  return 0;
}
