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

// CLIPSeg's decoder: what its layers and its upsampling share.
//
// Matrices are [feature][token], so that a vector holds one feature of several tokens: products,
// softmax and norms need no sums within a vector, and what one step writes the next one reads.
// Between steps the values of some tokens stay in the processor's first cache.
//
// A file for each kind of processor includes this one. It defines
//   NAMED(function)  the function's name with the kind of processor
//   TARGET           the instructions that it may use, as for gcc's attribute
//   LANES            how many floats a vector has: 8 or 16
//   UNITS, VECTORS   what the registers hold: sums of UNITS features of VECTORS vectors of tokens
//   PAIRS            1: the products are those of bf16, two at a time, and their sums fp32

#ifndef DECODER_H_
#define DECODER_H_

#include <immintrin.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define PART static inline __attribute__((always_inline, target(TARGET)))
#ifdef __clang__
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 8")
#endif

#define WIDTH 64  // features of a token
#define PACK 8    // features whose weights lie next to each other
#define GROUP (VECTORS * LANES)
#define ROWS_OF_GROUP __attribute__((aligned(64))) value_t

#if LANES == 16
typedef __m512 vector_t;
typedef __m512i integers_t;
#define SPREAD _mm512_set1_ps
#define LOAD _mm512_loadu_ps
#define LARGER _mm512_max_ps
#define ROOT _mm512_sqrt_ps
#define MULTIPLY_ADD _mm512_fmadd_ps
#define SHIFTED _mm512_slli_epi32
#define SUM_OF_INTEGERS _mm512_add_epi32
#else
typedef __m256 vector_t;
typedef __m256i integers_t;
#define SPREAD _mm256_set1_ps
#define LOAD _mm256_loadu_ps
#define LARGER _mm256_max_ps
#define ROOT _mm256_sqrt_ps
#define MULTIPLY_ADD _mm256_fmadd_ps
#define SHIFTED _mm256_slli_epi32
#define SUM_OF_INTEGERS _mm256_add_epi32
#endif

#if PAIRS
typedef uint32_t value_t;  // bf16 of two features, or of two tokens
typedef integers_t values_t;
#define STEP 2

PART vector_t add_product(vector_t sum, value_t weight, values_t values)
{
  const __m512bh weights = (__m512bh)_mm512_set1_epi32((int32_t)weight);
  return _mm512_dpbf16_ps(sum, weights, (__m512bh)values);
}

PART values_t to_values(vector_t first, vector_t second)
{
  const integers_t side_by_side = _mm512_set_epi16(
    31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8,
    23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  const integers_t both = (integers_t)_mm512_cvtne2ps_pbh(second, first);
  return _mm512_permutexvar_epi16(side_by_side, both);
}
#else
typedef float value_t;
typedef vector_t values_t;
#define STEP 1

PART vector_t add_product(vector_t sum, value_t weight, values_t values)
{
  return MULTIPLY_ADD(SPREAD(weight), values, sum);
}
#endif

// Loops over the features and vectors of a block; all lengths are known when it is compiled.
#define EACH_SUM(CODE) \
  UNROLL for (int u = 0; u < UNITS; ++u) { \
    UNROLL for (int v = 0; v < vectors; ++v) { \
      CODE; \
    } \
  }
#define AT(matrix, row, stride) ((vector_t *)((matrix) + (row) * (int64_t)(stride) + v * LANES))

// Adds to each sum the products of `steps` weights, `next` apart and those of the next feature
// `next_unit`, with the rows of values.
PART void multiply(
  vector_t sums[UNITS][VECTORS], const value_t * weights, int64_t next, int64_t next_unit,
  const value_t * values, int64_t stride, int32_t steps, const int vectors)
{
  vector_t s[UNITS][VECTORS];
  EACH_SUM(s[u][v] = sums[u][v])
  for (int32_t k = 0; k < steps; ++k) {
    values_t row[VECTORS];
    UNROLL for (int v = 0; v < vectors; ++v) {
      row[v] = (values_t)LOAD((const float *)(values + k * stride + v * LANES));
    }
    EACH_SUM(s[u][v] = add_product(s[u][v], weights[k * next + u * next_unit], row[v]))
  }
  EACH_SUM(sums[u][v] = s[u][v])
}

PART void store(
  vector_t first, vector_t second, value_t * values, int32_t row, int64_t stride, int v)
{
#if PAIRS
  *(values_t *)(values + row / 2 * stride + v * LANES) = to_values(first, second);
#else
  *AT(values, row, stride) = first;
  *AT(values, row + 1, stride) = second;
#endif
}

// Stores sums as values, those below 0 as 0.
PART void store_positive(
  vector_t sums[UNITS][VECTORS], value_t * values, int32_t row, int64_t stride, const int vectors)
{
  EACH_SUM(sums[u][v] = LARGER((vector_t){0}, sums[u][v]))
  for (int u = 0; u < UNITS; u += 2) {
    for (int v = 0; v < vectors; ++v) {
      store(sums[u][v], sums[u + 1][v], values, row + u, stride, v);
    }
  }
}

PART void store_rows(
  const float * x, int32_t rows, value_t * values, int64_t stride, int64_t new_stride,
  const int vectors)
{
  for (int32_t row = 0; row < rows; row += 2) {
    for (int v = 0; v < vectors; ++v) {
      store(*AT(x, row, stride), *AT(x, row + 1, stride), values, row, new_stride, v);
    }
  }
}

// The weights of feature `unit` in a matrix for `inputs` features.
PART const value_t * weights_of(const value_t * matrix, int32_t unit, int32_t inputs)
{
  return matrix + unit / PACK * (int64_t)(inputs / STEP) * PACK + unit % PACK;
}

// Calls CODE for all columns, a group or, at the end, a vector at a time.
#define EACH_GROUP(COLUMNS, CODE) \
  for (int64_t at = 0; at < (COLUMNS); ) { \
    if (at + GROUP <= (COLUMNS)) { \
      const int vectors = VECTORS; \
      CODE \
      at += GROUP; \
    } else { \
      const int vectors = 1; \
      CODE \
      at += LANES; \
    } \
  }

#endif  // DECODER_H_
