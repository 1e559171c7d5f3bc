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

// A layer of CLIPSeg's decoder: attention and an MLP, each added to its input and normalised.

#ifndef DECODER_LAYER_H_
#define DECODER_LAYER_H_

#include "src/decoder.h"

#define HEADS 4
#define HEAD (WIDTH / HEADS)
#define HIDDEN 64  // hidden units of the MLP that are computed at a time

// 2^x for x <= 0, or 2^-126 where that is smaller: the power of the nearest integer, times the
// polynomial of this degree with the smallest relative error from -0.5 to 0.5, which is 7.5e-8.
PART vector_t power_of_2(vector_t x)
{
  x = LARGER(SPREAD(-126.0f), x);  // also NaN stays NaN
  const vector_t shifted = x + 12582912.0f;  // 1.5 * 2^23: the last bits are the nearest integer
  const vector_t rest = x - (shifted - 12582912.0f);
  vector_t power = MULTIPLY_ADD(rest, SPREAD(0.00132764706f), SPREAD(0.00967554132f));
  power = MULTIPLY_ADD(power, rest, SPREAD(0.0555071328f));
  power = MULTIPLY_ADD(power, rest, SPREAD(0.240221197f));
  power = MULTIPLY_ADD(power, rest, SPREAD(0.693146967f));
  power = MULTIPLY_ADD(power, rest, SPREAD(1.00000007f));
  const integers_t exponent = SHIFTED((integers_t)shifted, 23);
  return (vector_t)SUM_OF_INTEGERS((integers_t)power, exponent);
}

// values: rows of GROUP.
PART void linear(
  const value_t * matrix, const float * bias, const value_t * values, int32_t outputs, float * y,
  int64_t stride, const int vectors)
{
  for (int32_t unit = 0; unit < outputs; unit += UNITS) {
    vector_t sums[UNITS][VECTORS];
    EACH_SUM(sums[u][v] = SPREAD(bias[unit + u]))
    const value_t * weights = weights_of(matrix, unit, WIDTH);
    multiply(sums, weights, PACK, 1, values, GROUP, WIDTH / STEP, vectors);
    EACH_SUM(*AT(y, unit + u, stride) = sums[u][v])
  }
}

PART void add(float * x, const float * y, int64_t stride, const int vectors)
{
  for (int row = 0; row < WIDTH; ++row) {
    for (int v = 0; v < vectors; ++v) {
      *AT(x, row, stride) += *AT(y, row, stride);
    }
  }
}

PART void normalise(float * x, int64_t stride, const float * norm, const int vectors)
{
  for (int v = 0; v < vectors; ++v) {
    vector_t mean = {0}, scale = {0};
    for (int row = 0; row < WIDTH; ++row) {
      mean += *AT(x, row, stride) / (float)WIDTH;
    }
    for (int row = 0; row < WIDTH; ++row) {
      const vector_t difference = *AT(x, row, stride) - mean;
      scale += difference * difference / (float)WIDTH;
    }
    scale = 1.0f / ROOT(scale + norm[2 * WIDTH]);
    for (int row = 0; row < WIDTH; ++row) {
      vector_t * at = AT(x, row, stride);
      *at = (*at - mean) * scale * norm[row] + norm[WIDTH + row];
    }
  }
}

// matrix: for each HIDDEN units the weights to them, then those from them. biases: the same way.
PART void mlp(
  const value_t * matrix, const float * biases, int32_t hidden, float * x, int64_t stride,
  const int vectors)
{
  ROWS_OF_GROUP inputs[WIDTH / STEP * GROUP], units[HIDDEN / STEP * GROUP];
  vector_t outputs[WIDTH][VECTORS];
  store_rows(x, WIDTH, inputs, stride, GROUP, vectors);
  for (int row = 0; row < WIDTH; ++row) {
    for (int v = 0; v < vectors; ++v) {
      outputs[row][v] = *AT(x, row, stride) + biases[hidden + row];
    }
  }
  for (int32_t first = 0; first < hidden; first += HIDDEN) {
    for (int32_t unit = 0; unit < HIDDEN; unit += UNITS) {
      vector_t sums[UNITS][VECTORS];
      EACH_SUM(sums[u][v] = SPREAD(biases[first + unit + u]))
      const value_t * weights = weights_of(matrix, unit, WIDTH);
      multiply(sums, weights, PACK, 1, inputs, GROUP, WIDTH / STEP, vectors);
      store_positive(sums, units, unit, GROUP, vectors);
    }
    matrix += HIDDEN * (WIDTH / STEP);
    for (int unit = 0; unit < WIDTH; unit += UNITS) {
      const value_t * weights = weights_of(matrix, unit, HIDDEN);
      multiply(outputs + unit, weights, PACK, 1, units, GROUP, HIDDEN / STEP, vectors);
    }
    matrix += WIDTH * (HIDDEN / STEP);
  }
  for (int row = 0; row < WIDTH; ++row) {
    for (int v = 0; v < vectors; ++v) {
      *AT(x, row, stride) = outputs[row][v];
    }
  }
}

// One head for some tokens. q and k: rows of HEAD / STEP. by_token: v, in which STEP tokens are one
// value. weights: memory for all tokens' weights.
PART void attend(
  const value_t * q, const value_t * k, const value_t * by_token, int32_t tokens, int64_t stride,
  float * weights, float * y, const int vectors)
{
  const int32_t rows = (tokens + PACK - 1) / PACK * PACK;
  vector_t most[VECTORS], total[VECTORS];
  for (int v = 0; v < vectors; ++v) {
    most[v] = SPREAD(-3e38f);
    total[v] = (vector_t){0};
  }
  for (int32_t token = 0; token < rows; token += UNITS) {
    vector_t sums[UNITS][VECTORS];
    EACH_SUM(sums[u][v] = SPREAD(token + u < tokens ? 0.0f : -3e38f))
    multiply(sums, k + token, stride, 1, q, stride, HEAD / STEP, vectors);
    EACH_SUM(most[v] = LARGER(sums[u][v], most[v]))
    EACH_SUM(*AT(weights, token + u, GROUP) = sums[u][v])
  }
  value_t * shares = (value_t *)weights;  // each row is written after it was read
  for (int32_t token = 0; token < rows; token += 2) {
    for (int v = 0; v < vectors; ++v) {
      const vector_t first = power_of_2(*AT(weights, token, GROUP) - most[v]);
      const vector_t second = power_of_2(*AT(weights, token + 1, GROUP) - most[v]);
      total[v] += first + second;
      store(first, second, shares, token, GROUP, v);
    }
  }
  const int64_t next_unit = stride / STEP;
  for (int unit = 0; unit < HEAD; unit += UNITS) {
    vector_t sums[UNITS][VECTORS];
    EACH_SUM(sums[u][v] = (vector_t){0})
    const value_t * of_unit = by_token + unit * next_unit;
    multiply(sums, of_unit, 1, next_unit, shares, GROUP, rows / STEP, vectors);
    EACH_SUM(*AT(y, unit + u, stride) = sums[u][v] / total[v])
  }
}

// Transposes the features of tokens, and back. Tokens beyond the last one have zeros.
PART void to_features(const float * x, int32_t tokens, float * features, int64_t stride)
{
  for (int32_t first = 0; first < stride; first += LANES) {
    for (int row = 0; row < WIDTH; ++row) {
      for (int32_t token = first; token < first + LANES; ++token) {
        features[row * stride + token] = token < tokens ? x[(int64_t)token * WIDTH + row] : 0.0f;
      }
    }
  }
}

PART void to_tokens(const float * features, int64_t stride, int32_t tokens, float * x)
{
  for (int32_t token = 0; token < tokens; ++token) {
    for (int row = 0; row < WIDTH; ++row) {
      x[(int64_t)token * WIDTH + row] = features[row * stride + token];
    }
  }
}

// x and y: (tokens, WIDTH), in place or not. hidden: units of the MLP, a multiple of HIDDEN.
//
// matrices: q, k and v; attention's output; for each HIDDEN units of the MLP the weights to them
// and those from them. Each is [features / PACK][inputs / STEP][PACK][STEP]; q's are multiplied by
// log2(e) / sqrt(HEAD), so that attention's weights are powers of 2. constants: the biases in that
// order, but the MLP's of its units before that of its outputs; for either norm weight, bias and
// epsilon. Returns 0, or -1 without memory.
__attribute__((target(TARGET)))
int32_t NAMED(decoder_layer)(
  const value_t * matrices, const float * constants, int32_t hidden, int32_t tokens,
  const float * x, float * y)
{
  const int64_t stride = (tokens + LANES - 1) / LANES * LANES, plane = WIDTH * stride;
  const int64_t size = (5 + 2 * PAIRS) * plane + GROUP * stride;
  float * memory = aligned_alloc(64, (size_t)size * sizeof(float));
  if (!memory) {
    return -1;
  }
  const float * out_bias = constants + 3 * WIDTH, * mlp_biases = out_bias + WIDTH;
  const float * norm_1 = mlp_biases + hidden + WIDTH, * norm_2 = norm_1 + 2 * WIDTH + 1;
  const value_t * out_matrix = matrices + 3 * WIDTH * WIDTH / STEP;
  const value_t * mlp_matrices = out_matrix + WIDTH * WIDTH / STEP;
  float * features = memory, * qkv = features + plane, * attended = qkv + 3 * plane;
  float * weights = attended + plane;
  ROWS_OF_GROUP values[WIDTH / STEP * GROUP];

  to_features(x, tokens, features, stride);
  EACH_GROUP(
    stride,
    store_rows(features + at, WIDTH, values, stride, GROUP, vectors);
    linear(matrices, constants, values, 3 * WIDTH, qkv + at, stride, vectors);
  )
#if PAIRS
  value_t * q = (value_t *)(weights + GROUP * stride), * v = q + plane;
  EACH_GROUP(stride, store_rows(qkv + at, 2 * WIDTH, q + at, stride, stride, vectors);)
  for (int64_t i = 0; i < plane / LANES; i += 2) {
    const vector_t * of_tokens = (vector_t *)(qkv + 2 * plane) + i;
    ((integers_t *)v)[i / 2] = (integers_t)_mm512_cvtne2ps_pbh(of_tokens[1], of_tokens[0]);
  }
#else
  const value_t * q = qkv, * v = qkv + 2 * plane;
#endif
  for (int64_t first = 0; first < plane / STEP; first += plane / STEP / HEADS) {
    const value_t * k = q + plane / STEP + first;
    float * of_head = attended + first * STEP;
    EACH_GROUP(
      stride,
      attend(q + first + at, k, v + first, tokens, stride, weights, of_head + at, vectors);
    )
  }
  EACH_GROUP(
    stride,
    store_rows(attended + at, WIDTH, values, stride, GROUP, vectors);
    linear(out_matrix, out_bias, values, WIDTH, attended + at, stride, vectors);
    add(features + at, attended + at, stride, vectors);
    normalise(features + at, stride, norm_1, vectors);
    mlp(mlp_matrices, mlp_biases, hidden, features + at, stride, vectors);
    normalise(features + at, stride, norm_2, vectors);
  )
  to_tokens(features, stride, tokens, y);
  free(memory);
  return 0;
}

#endif  // DECODER_LAYER_H_
