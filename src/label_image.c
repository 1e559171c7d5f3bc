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

// From the logits of classes to the label image and its confidence.

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "src/kernels.h"
#include "src/resized_rows.h"

// The columns of a row that reach the limit of a class, both included; none: last is -1.
typedef struct
{
  int32_t first, last;
} span_t;

// odd: becomes another number than 0 when the row has NaN or an infinity.
PART span_t span_of(const float * row, int32_t width, float limit, int32_t * odd)
{
  int32_t first = width, last = -1, differs = 0;
  for (int32_t x = 0; x < width; ++x) {
    const int32_t reaches = row[x] >= limit;
    const int32_t from = reaches ? x : width, to = reaches ? x : -1;
    first = from < first ? from : first;
    last = to > last ? to : last;
    differs |= row[x] - row[x] != 0;
  }
  *odd |= differs;
  const span_t span = {first, last};
  return span;
}

// Interpolates between two rows; the class wins where that reaches its limit and exceeds the best.
PART void compete(
  const float * above, const float * below, float weight, float limit, int32_t id, int32_t from,
  int32_t to, float * restrict best, int32_t * restrict winner)
{
  for (int32_t x = from; x < to; ++x) {
    const float value = above[x] + weight * (below[x] - above[x]);
    const int32_t wins = (value >= limit) & (value > best[x]);
    best[x] = wins ? value : best[x];
    winner[x] = wins ? id : winner[x];
  }
}

// --- confidence ---

// e^x as in Cephes (S. Moshier, netlib.org/cephes), to 2e-7 of the value; the C library's is not
// computed for several pixels at once.
PART float exponential(float x)
{
  x = x < 87.0f ? x : 87.0f;
  x = x > -87.0f ? x : -87.0f;
  // Rounds to the nearest: the sum is positive, so cutting off rounds down.
  int32_t power = (int32_t)(x * 1.44269504f + 128.5f) - 128;
  float rest = x - power * 0.693359375f + power * 2.12194440e-4f;
  float sum = 1.9875691500e-4f;
  sum = sum * rest + 1.3981999507e-3f;
  sum = sum * rest + 8.3334519073e-3f;
  sum = sum * rest + 4.1665795894e-2f;
  sum = sum * rest + 1.6666665459e-1f;
  sum = sum * rest + 5.0000001201e-1f;
  sum = sum * rest * rest + rest + 1.0f;
  union {
    uint32_t bits;
    float value;
  } scale = {(uint32_t)(power + 127) << 23};
  return sum * scale.value;
}

// The pixels of a block are computed if any of them has a class: most of an image is background.
#define BLOCK 64

PART void probabilities(
  const float * restrict logits, const void * restrict label, int32_t id_bytes, int64_t pixels,
  uint8_t * restrict confidence)
{
  for (int64_t begin = 0; begin < pixels; begin += BLOCK) {
    const int32_t count = pixels - begin < BLOCK ? (int32_t)(pixels - begin) : BLOCK;
    const float * logit = logits + begin;
    uint8_t * out = confidence + begin;
    uint8_t has_class[BLOCK];
    int32_t any = 0;
    for (int32_t i = 0; i < count && id_bytes == 1; ++i) {
      has_class[i] = ((const uint8_t *)label + begin)[i] ? 255 : 0;
    }
    for (int32_t i = 0; i < count && id_bytes == 2; ++i) {
      has_class[i] = ((const uint16_t *)label + begin)[i] ? 255 : 0;
    }
    for (int32_t i = 0; i < count; ++i) {
      any |= has_class[i];
    }
    if (!any) {
      memset(out, 0, (size_t)count);
      continue;
    }
    for (int32_t i = 0; i < count; ++i) {
      const int32_t rounded = (int32_t)(255.0f / (1.0f + exponential(-logit[i])) + 0.5f);
      out[i] = (uint8_t)((rounded < 1 ? 1 : rounded) & has_class[i]);
    }
  }
}

FOR_EACH_PROCESSOR
void zs_seg_confidence(
  const float * logits, const void * label, int32_t id_bytes, int64_t pixels, uint8_t * confidence)
{
  probabilities(logits, label, id_bytes, pixels, confidence);
}

// --- label image ---

// best and confidence: either may be NULL. Returns 0, 1 when a logit is NaN or infinite, or -1
// without memory.
FOR_EACH_PROCESSOR
int32_t zs_seg_label(
  const float * logits, int32_t classes, int32_t height, int32_t width,
  const float * limits, const int32_t * ids, int32_t full_height, int32_t full_width,
  int32_t id_bytes, void * label, float * best, uint8_t * confidence)
{
  const size_t columns = (size_t)full_width, small = (size_t)width, rows = 2 * (size_t)classes;
  float * floats = malloc((2 + rows) * (columns + 1) * sizeof(float));
  int32_t * integers = malloc((2 * columns + small + 1) * sizeof(int32_t));
  span_t * spans = malloc(((size_t)classes * height + 1) * sizeof(span_t));
  resized_t * resized = malloc((rows + 1) * sizeof(resized_t));
  if (!floats || !integers || !spans || !resized) {
    free(floats);
    free(integers);
    free(spans);
    free(resized);
    return -1;
  }
  float * weight = floats, * of_row = weight + columns;
  int32_t * lower = integers, * winner = lower + columns;
  int32_t * begin = winner + columns;  // the first pixel with this lower tap, or a higher one

  int32_t next = 0;
  for (int32_t x = 0; x < full_width; ++x) {
    taps_t taps = taps_of(x, width, full_width);
    lower[x] = taps.lower;
    weight[x] = taps.weight;
    while (next <= taps.lower) {
      begin[next++] = x;
    }
  }
  while (next <= width) {
    begin[next++] = full_width;
  }
  const columns_t of_rows =
  {width, begin[width - 1], lower, weight, interpolation(width, full_width)};
  for (size_t i = 0; i < rows; ++i) {
    resized[i] = (resized_t) {-1, 0, 0, of_row + (i + 1) * columns};
  }
  // All rows in the order in which they lie in memory, which is read several times as fast so.
  int32_t odd = 0;
  for (size_t i = 0; i < (size_t)classes * height; ++i) {
    spans[i] = span_of(logits + i * small, width, limits[i / height], &odd);
  }

  for (int32_t y = 0; y < full_height && !odd; ++y) {
    const taps_t taps = taps_of(y, height, full_height);
    if (best) {
      of_row = best + y * columns;
    }
    for (int32_t x = 0; x < full_width; ++x) {
      of_row[x] = -__builtin_inff();
      winner[x] = 0;
    }
    for (int32_t k = 0; k < classes; ++k) {
      const span_t one = spans[(size_t)k * height + taps.lower];
      const span_t two = spans[(size_t)k * height + taps.upper];
      const int32_t last = one.last > two.last ? one.last : two.last;
      int32_t first = one.first < two.first ? one.first : two.first;
      if (last < 0) {
        continue;  // interpolation never exceeds its inputs
      }
      first -= first > 0;  // its pixels may have their upper tap in the span
      const int32_t from = begin[first], to = begin[last + 1];
      const float * of_class = logits + (size_t)k * height * small;
      // Rows with odd numbers come second, so that a row keeps its place while it is the lower one.
      resized_t * above = resized + 2 * k + (taps.lower & 1);
      resized_t * below = resized + 2 * k + (taps.upper & 1);
      resize_row(of_class, taps.lower, &of_rows, from, to, above);
      resize_row(of_class, taps.upper, &of_rows, from, to, below);
      compete(
        above->values, below->values, taps.weight, limits[k], ids[k], from, to, of_row, winner);
    }
    void * out = (uint8_t *)label + y * columns * id_bytes;
    for (int32_t x = 0; x < full_width && id_bytes == 1; ++x) {
      ((uint8_t *)out)[x] = (uint8_t)winner[x];
    }
    for (int32_t x = 0; x < full_width && id_bytes == 2; ++x) {
      ((uint16_t *)out)[x] = (uint16_t)winner[x];
    }
    if (confidence) {
      probabilities(of_row, out, id_bytes, full_width, confidence + y * columns);
    }
  }
  free(floats);
  free(integers);
  free(spans);
  free(resized);
  return odd ? 1 : 0;
}
