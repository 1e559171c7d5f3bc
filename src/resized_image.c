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

// Images of bytes, resized as Pillow and torch resize them, and normalised.

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "src/kernels.h"

#ifdef CHOOSE_BY_PROCESSOR
#include <immintrin.h>
#endif

#define CHANNELS 3
#define TOGETHER 4   // columns that are computed together, and taps of each
#define LOADED 16    // bytes that are loaded together

// How many bytes a channel, a pixel and a row are from the next one.
typedef struct
{
  const uint8_t * pixels;
  int32_t height, width, of_channel, of_pixel;
  int64_t of_row;
} image_t;

// The rows or columns of the resized image. Each is a sum of `taps` rows or columns of the image,
// an even number, from `first` on, where columns are counted in bytes, with its own weights in
// units of 2^-bits. The weight of what is beyond the image is 0.
typedef struct
{
  int32_t length, taps, bits;
  const int32_t * first;
  const int16_t * weights;
} axis_t;

// Resizes a row of the image to the columns of three planes.
typedef void (* resize_row_t)(
  const uint8_t * row, const image_t * image, const axis_t * columns, uint8_t * planes,
  int32_t of_plane);
// Sums up the first `width` bytes of each of `rows`.
typedef void (* sum_rows_t)(
  const uint8_t * const * rows, const int16_t * weights, int32_t taps, int32_t bits, int32_t width,
  uint8_t * sums);

PART uint8_t saturated(int32_t value)
{
  return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

// Of TOGETHER columns there are the weights of the first two taps of each, repeated until they fill
// LOADED bytes, then those of the next two taps.
PART int16_t weight_of(const axis_t * columns, int32_t x, int32_t tap)
{
  const int64_t pair = (int64_t)(x / TOGETHER) * (columns->taps / 2) + tap / 2;
  return columns->weights[(pair * TOGETHER + x % TOGETHER) * (LOADED / 2) + tap % 2];
}

static void resize_row(
  const uint8_t * row, const image_t * image, const axis_t * columns, uint8_t * planes,
  int32_t of_plane)
{
  for (int32_t x = 0; x < columns->length; ++x) {
    for (int32_t c = 0; c < CHANNELS; ++c) {
      const uint8_t * from = row + columns->first[x] + c * image->of_channel;
      int32_t sum = 1 << (columns->bits - 1);
      for (int32_t tap = 0; tap < columns->taps; ++tap, from += image->of_pixel) {
        sum += weight_of(columns, x, tap) * *from;
      }
      planes[c * of_plane + x] = saturated(sum >> columns->bits);
    }
  }
}

static void sum_rows(
  const uint8_t * const * rows, const int16_t * weights, int32_t taps, int32_t bits, int32_t width,
  uint8_t * sums)
{
  for (int32_t x = 0; x < width; ++x) {
    int32_t sum = 1 << (bits - 1);
    for (int32_t tap = 0; tap < taps; ++tap) {
      sum += weights[tap] * rows[tap][x];
    }
    sums[x] = saturated(sum >> bits);
  }
}

#ifdef CHOOSE_BY_PROCESSOR
#define AVX2 __attribute__((target("avx2")))
#define AVX2_PART __attribute__((target("avx2"), always_inline)) static inline

// Which of the loaded bytes are those of a pixel and the next one, channel by channel, in 16 bits
// each.
static __m128i order_of_pair(const image_t * image, int32_t pixel)
{
  int8_t order[LOADED];
  memset(order, -1, sizeof(order));  // a zero
  for (int32_t i = 0; i < 2 * CHANNELS; ++i) {
    const int32_t place = (pixel + i % 2) * image->of_pixel + i / 2 * image->of_channel;
    order[2 * i] = (int8_t)place;
  }
  return _mm_loadu_si128((const __m128i *)order);
}

AVX2_PART __m256i pair_loaded(const uint8_t * one, const uint8_t * other)
{
  return _mm256_inserti128_si256(
    _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)one)),
    _mm_loadu_si128((const __m128i *)other), 1);
}

AVX2_PART __m256i add_products(__m256i sum, __m256i bytes, __m256i order, const int16_t * weights)
{
  const __m256i values = _mm256_shuffle_epi8(bytes, order);
  const __m256i factors = _mm256_loadu_si256((const __m256i *)weights);
  return _mm256_add_epi32(sum, _mm256_madd_epi16(values, factors));
}

// Shifts two vectors of sums and saturates them to bytes.
AVX2_PART __m128i bytes_of(__m256i one, __m256i other, __m128i bits)
{
  const __m256i words =
    _mm256_packs_epi32(_mm256_sra_epi32(one, bits), _mm256_sra_epi32(other, bits));
  const __m256i bytes = _mm256_packus_epi16(words, words);  // in each half four of each vector
  return _mm_unpacklo_epi32(_mm256_castsi256_si128(bytes), _mm256_extracti128_si256(bytes, 1));
}

// The same as resize_row.
AVX2 static void resize_row_avx2(
  const uint8_t * row, const image_t * image, const axis_t * columns, uint8_t * planes,
  int32_t of_plane)
{
  const __m256i early = _mm256_broadcastsi128_si256(order_of_pair(image, 0));
  const __m256i late = _mm256_broadcastsi128_si256(order_of_pair(image, 2));
  const __m256i half = _mm256_set1_epi32(1 << (columns->bits - 1));
  const __m128i bits = _mm_cvtsi32_si128(columns->bits);
  const __m128i by_channel = _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  const int16_t * weights = columns->weights;
  const int32_t taps = columns->taps, step = TOGETHER * image->of_pixel;
  for (int32_t x = 0; x < columns->length; x += TOGETHER) {
    const int32_t * first = columns->first + x;
    const uint8_t * from = row;
    __m256i one = half, other = half;  // of two columns each
    for (int32_t tap = 0; tap < taps; tap += TOGETHER, from += step) {
      const __m256i a = pair_loaded(from + first[0], from + first[1]);
      const __m256i b = pair_loaded(from + first[2], from + first[3]);
      one = add_products(one, a, early, weights);
      other = add_products(other, b, early, weights + LOADED);
      one = add_products(one, a, late, weights + 2 * LOADED);
      other = add_products(other, b, late, weights + 3 * LOADED);
      weights += 4 * LOADED;
    }
    const __m128i channels = _mm_shuffle_epi8(bytes_of(one, other, bits), by_channel);
    const int32_t values[CHANNELS] = {
      _mm_cvtsi128_si32(channels), _mm_extract_epi32(channels, 1), _mm_extract_epi32(channels, 2)};
    for (int32_t c = 0; c < CHANNELS; ++c) {
      memcpy(planes + c * of_plane + x, values + c, TOGETHER);
    }
  }
}

// The same as sum_rows, for widths that are multiples of LOADED.
AVX2 static void sum_rows_avx2(
  const uint8_t * const * rows, const int16_t * weights, int32_t taps, int32_t bits, int32_t width,
  uint8_t * sums)
{
  const __m256i half = _mm256_set1_epi32(1 << (bits - 1));
  const __m128i shift = _mm_cvtsi32_si128(bits);
  for (int32_t x = 0; x < width; x += LOADED) {
    __m256i one = half, other = half;  // of eight pixels each
    for (int32_t tap = 0; tap < taps; tap += 2) {
      int32_t pair;
      memcpy(&pair, weights + tap, sizeof(pair));
      const __m256i factors = _mm256_set1_epi32(pair);
      const __m128i a = _mm_loadu_si128((const __m128i *)(rows[tap] + x));
      const __m128i b = _mm_loadu_si128((const __m128i *)(rows[tap + 1] + x));
      const __m256i low = _mm256_cvtepu8_epi16(_mm_unpacklo_epi8(a, b));
      const __m256i high = _mm256_cvtepu8_epi16(_mm_unpackhi_epi8(a, b));
      one = _mm256_add_epi32(one, _mm256_madd_epi16(low, factors));
      other = _mm256_add_epi32(other, _mm256_madd_epi16(high, factors));
    }
    _mm_storeu_si128((__m128i *)(sums + x), bytes_of(one, other, shift));
  }
}
#endif

// Writes planes, `of_plane` floats from one to the next. All of an image's rows have memory for
// the bytes of their pixels alone. Returns -1 where there is no memory, 0 otherwise.
FOR_EACH_PROCESSOR
int32_t zs_seg_resize(
  const image_t * image, const axis_t * columns, const axis_t * rows, const float * mean,
  const float * std, float * planes, int64_t of_plane)
{
  resize_row_t resize = resize_row;
  sum_rows_t sum = sum_rows;
#ifdef CHOOSE_BY_PROCESSOR
  if (__builtin_cpu_supports("avx2")) {
    resize = resize_row_avx2;
    sum = sum_rows_avx2;
  }
#endif
  const int32_t width = (columns->length + LOADED - 1) / LOADED * LOADED, taps = rows->taps;
  const size_t used = (size_t)(image->width - 1) * image->of_pixel + 2 * image->of_channel + 1;
  const size_t read = ((size_t)image->width + columns->taps) * image->of_pixel + LOADED;
  uint8_t * ring = calloc((size_t)(taps + 1) * CHANNELS, width);  // of resized rows
  uint8_t * copy = calloc(read, 1);
  const uint8_t ** of_taps = malloc(taps * sizeof(*of_taps));
  if (!ring || !copy || !of_taps) {
    free(ring);
    free(copy);
    free(of_taps);
    return -1;
  }
  uint8_t * sums = ring + (size_t)taps * CHANNELS * width;
  const uint8_t * last = image->pixels;  // row of the image's memory
  if (image->of_row > 0) {
    last += (image->height - 1) * image->of_row;
  }
  int32_t next = 0;  // row to resize
  for (int32_t y = 0; y < rows->length; ++y) {
    for (int32_t tap = 0; tap < taps; ++tap) {
      const int32_t place = rows->first[y] + tap;
      const int32_t wanted = place < image->height ? place : image->height - 1;
      uint8_t * resized = ring + (size_t)(wanted % taps) * CHANNELS * width;
      if (wanted >= next) {
        const uint8_t * row = image->pixels + wanted * image->of_row;
        if (row + read > last + used) {  // more is read than there is
          row = memcpy(copy, row, used);
        }
        resize(row, image, columns, resized, width);
        next = wanted + 1;
      }
      of_taps[tap] = resized;
    }
    sum(of_taps, rows->weights + (int64_t)y * taps, taps, rows->bits, CHANNELS * width, sums);
    for (int32_t c = 0; c < CHANNELS; ++c) {
      const normalisation_t by = normalisation(mean[c], std[c]);
      float * values = planes + c * of_plane + (int64_t)y * columns->length;
      for (int32_t x = 0; x < columns->length; ++x) {
        values[x] = normalised(sums[c * width + x], &by);
      }
    }
  }
  free(ring);
  free(copy);
  free(of_taps);
  return 0;
}
