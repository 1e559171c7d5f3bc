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

// CLIPSeg's "refined" upsampling: a convolution over the grid of tokens, then two transposed ones
// whose stride is their size, so that each makes a square of TIMES x TIMES of every cell.

#ifndef DECODER_UPSAMPLING_H_
#define DECODER_UPSAMPLING_H_

#include "src/decoder.h"

#define TIMES 4
#define SQUARE (TIMES * TIMES)
#define INNER (WIDTH / 2)  // features of a cell of the first square

// The convolution of three by three cells. grid: rows of WIDTH / STEP, from the cell above and to
// the left of the first one; next_row: how far the same column of the next row is.
PART void convolve(
  const value_t * matrices, const float * bias, const value_t * grid, int64_t stride,
  int64_t next_row, value_t * cells, const int vectors)
{
  for (int32_t unit = 0; unit < WIDTH; unit += UNITS) {
    vector_t sums[UNITS][VECTORS];
    EACH_SUM(sums[u][v] = SPREAD(bias[unit + u]))
    for (int neighbour = 0; neighbour < 9; ++neighbour) {
      const value_t * matrix = matrices + neighbour * (WIDTH * WIDTH / STEP);
      const value_t * values = grid + neighbour / 3 * next_row + neighbour % 3;
      const value_t * weights = weights_of(matrix, unit, WIDTH);
      multiply(sums, weights, PACK, 1, values, stride, WIDTH / STEP, vectors);
    }
    store_positive(sums, cells, unit, GROUP, vectors);
  }
}

// One cell of the first square, and the square of pixels within.
PART void enlarge(
  const value_t * matrix, const value_t * pixel_matrix, const float * biases, const value_t * cells,
  float * pixels, const int vectors)
{
  ROWS_OF_GROUP inner[INNER / STEP * GROUP];
  for (int32_t unit = 0; unit < INNER; unit += UNITS) {
    vector_t sums[UNITS][VECTORS];
    EACH_SUM(sums[u][v] = SPREAD(biases[unit + u]))
    const value_t * weights = weights_of(matrix, unit, WIDTH);
    multiply(sums, weights, PACK, 1, cells, GROUP, WIDTH / STEP, vectors);
    store_positive(sums, inner, unit, GROUP, vectors);
  }
  for (int32_t unit = 0; unit < SQUARE; unit += UNITS) {
    vector_t sums[UNITS][VECTORS];
    EACH_SUM(sums[u][v] = SPREAD(biases[INNER]))
    const value_t * weights = weights_of(pixel_matrix, unit, INNER);
    multiply(sums, weights, PACK, 1, inner, GROUP, INNER / STEP, vectors);
    EACH_SUM(*AT(pixels, unit + u, GROUP) = sums[u][v])
  }
}

// Copies the squares of pixels of some columns of the grid, from column `at` on, to the image.
PART void place(
  const float * pixels, int64_t at, int32_t columns, int32_t side, int cell, float * y)
{
  const int64_t width = (int64_t)side * SQUARE;
  for (int32_t i = 0; i < columns; ++i) {
    const int64_t row = (at + i) / (side + 2), column = (at + i) % (side + 2);
    if (row >= side || column >= side) {
      continue;
    }
    const int64_t first_row = row * SQUARE + cell / TIMES * TIMES;
    float * to = y + first_row * width + column * SQUARE + cell % TIMES * TIMES;
    for (int line = 0; line < TIMES; ++line) {
      for (int pixel = 0; pixel < TIMES; ++pixel) {
        to[line * width + pixel] = pixels[(line * TIMES + pixel) * GROUP + i];
      }
    }
  }
}

// x: (side * side, WIDTH), y: (side * SQUARE, side * SQUARE).
//
// matrices: the convolution's, one for each of the nine neighbours; that of the first square, INNER
// features for each of its cells; that of the second one. All are ordered as in decoder_layer.h.
// constants: biases of the convolution, of INNER features, of a pixel. Returns 0, or -1 without
// memory.
__attribute__((target(TARGET)))
int32_t NAMED(decoder_upsampling)(
  const value_t * matrices, const float * constants, int32_t side, const float * x, float * y)
{
  // Around the grid lies a border of zeros, so that all cells have nine neighbours.
  const int64_t next_row = side + 2, columns = (side * next_row + LANES - 1) / LANES * LANES;
  const int64_t stride = (columns + 2 * next_row + 2 + LANES - 1) / LANES * LANES;
  const int64_t size = WIDTH * stride;
  float * memory = aligned_alloc(64, (size_t)(2 * size) * sizeof(float));
  if (!memory) {
    return -1;
  }
  float * features = memory;
  memset(features, 0, (size_t)size * sizeof(float));
  for (int32_t row = 0; row < side; ++row) {
    for (int32_t column = 0; column < side; ++column) {
      const int64_t to = (row + 1) * next_row + column + 1;
      for (int feature = 0; feature < WIDTH; ++feature) {
        features[feature * stride + to] = x[((int64_t)row * side + column) * WIDTH + feature];
      }
    }
  }
  value_t * grid = (value_t *)(features + size);
  EACH_GROUP(stride, store_rows(features + at, WIDTH, grid + at, stride, stride, vectors);)
  const value_t * matrix = matrices + 9 * WIDTH * WIDTH / STEP;
  const value_t * pixel_matrix = matrix + SQUARE * INNER * WIDTH / STEP;
  ROWS_OF_GROUP cells[WIDTH / STEP * GROUP];
  __attribute__((aligned(64))) float pixels[SQUARE * GROUP];
  EACH_GROUP(
    columns,
    convolve(matrices, constants, grid + at, stride, next_row, cells, vectors);
    for (int cell = 0; cell < SQUARE; ++cell) {
      const value_t * of_cell = matrix + cell * (INNER * WIDTH / STEP);
      enlarge(of_cell, pixel_matrix, constants + WIDTH, cells, pixels, vectors);
      place(pixels, at, vectors * LANES, side, cell, y);
    }
  )
  free(memory);
  return 0;
}

#endif  // DECODER_UPSAMPLING_H_
