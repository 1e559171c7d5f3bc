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

// Rows of logits, resized to the columns of an image.

#ifndef RESIZED_ROWS_H_
#define RESIZED_ROWS_H_

#include <stdint.h>
#include <stdlib.h>

#include "src/kernels.h"

#ifdef CHOOSE_BY_PROCESSOR
#include <immintrin.h>
#endif

// The two neighbours between which a pixel of the resized image lies, as OpenCV resizes.
typedef struct
{
  int32_t lower, upper;
  float weight;  // of the upper one
} taps_t;

PART taps_t taps_of(int32_t place, int32_t length, int32_t full_length)
{
  float at = (float)((place + 0.5) * length / full_length - 0.5);
  taps_t taps = {0, 0, 0};
  if (at <= 0) {
    return taps;
  }
  taps.lower = taps.upper = (int32_t)at;
  if (taps.lower >= length - 1) {
    taps.lower = taps.upper = length - 1;
    return taps;
  }
  ++taps.upper;
  taps.weight = at - taps.lower;
  return taps;
}

// A row of the logits of a class, resized to the columns of the image, as far as it was needed.
typedef struct
{
  int32_t row, from, to;  // the columns that are computed of which row
  float * values;
} resized_t;

// Interpolates from the lower tap of each column to the next one.
typedef void (* interpolate_t)(
  const float * row, int32_t width, const int32_t * lower, const float * weight, int32_t from,
  int32_t to, float * values);

static void interpolate_columns(
  const float * row, int32_t width, const int32_t * lower, const float * weight, int32_t from,
  int32_t to, float * values)
{
  (void)width;
  for (int32_t x = from; x < to; ++x) {
    const float * pair = row + lower[x];
    values[x] = pair[0] + weight[x] * (pair[1] - pair[0]);
  }
}

#ifdef CHOOSE_BY_PROCESSOR
// The same where columns that follow each other have taps that do, as when a row becomes longer:
// the taps of a vector of columns are within a vector of the row.
__attribute__((target("avx512f")))
static void interpolate_16_columns(
  const float * row, int32_t width, const int32_t * lower, const float * weight, int32_t from,
  int32_t to, float * values)
{
  int32_t x = from;
  for (; x + 16 <= to; x += 16) {
    const int32_t first = lower[x], left = width - first;
    const __m512i taps = _mm512_sub_epi32(_mm512_loadu_si512(lower + x), _mm512_set1_epi32(first));
    const __mmask16 in_row = (__mmask16)(left > 16 ? 0xffff : (1 << left) - 1);
    const __m512 one = _mm512_maskz_loadu_ps(in_row, row + first);
    const __m512 next = _mm512_maskz_loadu_ps(left > 16 ? in_row : in_row >> 1, row + first + 1);
    const __m512 a = _mm512_permutexvar_ps(taps, one), b = _mm512_permutexvar_ps(taps, next);
    const __m512 rise = _mm512_mul_ps(_mm512_loadu_ps(weight + x), _mm512_sub_ps(b, a));
    _mm512_storeu_ps(values + x, _mm512_add_ps(a, rise));
  }
  interpolate_columns(row, width, lower, weight, x, to, values);
}

__attribute__((target("avx2")))
static void interpolate_8_columns(
  const float * row, int32_t width, const int32_t * lower, const float * weight, int32_t from,
  int32_t to, float * values)
{
  int32_t x = from;
  for (; x + 8 <= to && lower[x] + 9 <= width; x += 8) {
    const __m256i taps = _mm256_sub_epi32(
      _mm256_loadu_si256((const __m256i *)(lower + x)), _mm256_set1_epi32(lower[x]));
    const __m256 a = _mm256_permutevar8x32_ps(_mm256_loadu_ps(row + lower[x]), taps);
    const __m256 b = _mm256_permutevar8x32_ps(_mm256_loadu_ps(row + lower[x] + 1), taps);
    const __m256 rise = _mm256_mul_ps(_mm256_loadu_ps(weight + x), _mm256_sub_ps(b, a));
    _mm256_storeu_ps(values + x, _mm256_add_ps(a, rise));
  }
  interpolate_columns(row, width, lower, weight, x, to, values);
}
#endif

// The fastest way to make rows of `width` columns rows of `full_width`.
static interpolate_t interpolation(int32_t width, int32_t full_width)
{
#ifdef CHOOSE_BY_PROCESSOR
  if (width <= full_width && __builtin_cpu_supports("avx512f")) {
    return interpolate_16_columns;
  }
  if (width <= full_width && __builtin_cpu_supports("avx2")) {
    return interpolate_8_columns;
  }
#endif
  (void)width;
  (void)full_width;
  return interpolate_columns;
}

// How all rows are resized. edge: the first column whose lower tap is the last of the row, so that
// it has no upper one.
typedef struct
{
  int32_t width, edge;
  const int32_t * lower;
  const float * weight;
  interpolate_t interpolate;
} columns_t;

PART void resize_between(
  const float * row, const columns_t * columns, int32_t from, int32_t to, float * values)
{
  const int32_t edge = columns->edge, width = columns->width;
  const int32_t end = to < edge ? to : edge;
  columns->interpolate(row, width, columns->lower, columns->weight, from, end, values);
  for (int32_t x = from > edge ? from : edge; x < to; ++x) {
    values[x] = row[width - 1];
  }
}

// Computes the columns that are still missing between `from` and `to` of row number y of a class.
PART void resize_row(
  const float * of_class, int32_t y, const columns_t * columns, int32_t from, int32_t to,
  resized_t * resized)
{
  const float * row = of_class + (size_t)y * columns->width;
  if (resized->row != y || resized->from >= resized->to) {
    resized->row = y;
    resized->from = resized->to = from;
  }
  if (from < resized->from) {
    resize_between(row, columns, from, resized->from, resized->values);
    resized->from = from;
  }
  if (to > resized->to) {
    resize_between(row, columns, resized->to, to, resized->values);
    resized->to = to;
  }
}

#endif  // RESIZED_ROWS_H_
