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

// Objects as connected components of a label image, with 8 neighbours, and their masks.

#include <stdint.h>
#include <string.h>

#include "src/kernels.h"

// A run of pixels of one class in a row; end is exclusive. component: the number of its component.
typedef struct
{
  int32_t row, start, end, component;
} run_t;

// Sums over a component, and its bounding box; right and bottom are exclusive.
typedef struct
{
  int64_t area, confidence;
  int32_t id, left, top, right, bottom, unused;
} component_t;

PART uint32_t id_at(const uint8_t * row, int32_t id_bytes, int32_t x)
{
  uint16_t id;
  if (id_bytes == 1) {
    return row[x];
  }
  memcpy(&id, row + 2 * (size_t)x, sizeof(id));
  return id;
}

// The end of the run that begins at x, eight bytes at a time.
PART int32_t end_of_run(const uint8_t * row, int32_t id_bytes, int32_t width, int32_t x)
{
  const uint64_t ones = id_bytes == 1 ? 0x0101010101010101u : 0x0001000100010001u;
  const uint32_t id = id_at(row, id_bytes, x);
  for (uint64_t pixels; x + 8 / id_bytes <= width; x += 8 / id_bytes) {
    memcpy(&pixels, row + (size_t)x * id_bytes, sizeof(pixels));
    if (pixels != id * ones) {
      break;
    }
  }
  while (x < width && id_at(row, id_bytes, x) == id) {
    ++x;
  }
  return x;
}

// The first run of the component of run i, as far as it is known; the way there is shortened.
PART int32_t root_of(run_t * runs, int32_t i)
{
  while (runs[i].component != i) {
    i = runs[i].component = runs[runs[i].component].component;
  }
  return i;
}

// How many places zs_seg_components needs for runs.
FOR_EACH_PROCESSOR
int64_t zs_seg_most_runs(
  const void * label, int32_t id_bytes, int32_t height, int32_t width)
{
  int64_t runs = 0;
  for (int32_t y = 0; y < height; ++y) {
    const size_t first = (size_t)y * width;
    int32_t changes = 0;
    if (id_bytes == 1) {
      const uint8_t * row = (const uint8_t *)label + first;
      for (int32_t x = 1; x < width; ++x) {
        changes += row[x] != row[x - 1];
      }
    } else {
      const uint16_t * row = (const uint16_t *)label + first;
      for (int32_t x = 1; x < width; ++x) {
        changes += row[x] != row[x - 1];
      }
    }
    runs += changes + 1;
  }
  return runs;
}

// Returns the number of components, which are numbered in the order of their first runs.
FOR_EACH_PROCESSOR
int32_t zs_seg_components(
  const void * label, int32_t id_bytes, const uint8_t * confidence, int32_t height, int32_t width,
  run_t * runs, int32_t * run_count, component_t * components)
{
  const size_t pitch = (size_t)width * id_bytes;
  const uint8_t * row = label;
  int32_t count = 0, above = 0, above_end = 0;
  for (int32_t y = 0; y < height; ++y, row += pitch) {
    const int32_t begin = count;
    for (int32_t x = 0, end; x < width; x = end) {
      const uint32_t id = id_at(row, id_bytes, x);
      end = end_of_run(row, id_bytes, width, x);
      if (!id) {
        continue;
      }
      runs[count] = (run_t) {y, x, end, count};
      while (above < above_end && runs[above].end < x) {
        ++above;
      }
      for (int32_t i = above; i < above_end && runs[i].start <= end; ++i) {
        if (id_at(row - pitch, id_bytes, runs[i].start) == id) {
          const int32_t one = root_of(runs, i), other = root_of(runs, count);
          runs[one < other ? other : one].component = one < other ? one : other;
        }
      }
      ++count;
    }
    above = begin;
    above_end = count;
  }

  int32_t number = 0;
  for (int32_t i = 0; i < count; ++i) {
    run_t * run = runs + i;
    const uint8_t * here = confidence + (size_t)run->row * width;
    int32_t sum = 0;
    for (int32_t x = run->start; x < run->end; ++x) {
      sum += here[x];
    }
    if (run->component == i) {
      const uint8_t * labels = (const uint8_t *)label + run->row * pitch;
      const int32_t id = (int32_t)id_at(labels, id_bytes, run->start);
      components[number] = (component_t) {0, 0, id, run->start, run->row, run->end, 0, 0};
      run->component = number++;
    } else {
      // It leads to an earlier run, where the number of the component stands by now.
      run->component = runs[run->component].component;
    }
    component_t * whole = components + run->component;
    whole->area += run->end - run->start;
    whole->confidence += sum;
    whole->left = run->start < whole->left ? run->start : whole->left;
    whole->right = run->end > whole->right ? run->end : whole->right;
    whole->bottom = run->row + 1;
  }
  *run_count = count;
  return number;
}

// places: where the mask of each component begins; -1 for a component without one.
void zs_seg_masks(
  const run_t * runs, int32_t run_count, const component_t * components, const int64_t * places,
  uint8_t * pixels)
{
  for (int32_t i = 0; i < run_count; ++i) {
    const component_t * whole = components + runs[i].component;
    const int64_t place = places[runs[i].component], width = whole->right - whole->left;
    if (place >= 0) {
      uint8_t * row = pixels + place + (runs[i].row - whole->top) * width;
      memset(row + runs[i].start - whole->left, 1, (size_t)(runs[i].end - runs[i].start));
    }
  }
}

// The end of the run of equal pixels that begins at x; any number but 0 is a pixel of the object.
PART int64_t end_of_mask_run(const uint8_t * mask, int64_t size, int64_t x)
{
  const int32_t is_object = mask[x] != 0;
  const uint64_t same = is_object ? 0x0101010101010101u : 0;
  for (uint64_t pixels; x + 8 <= size; x += 8) {
    memcpy(&pixels, mask + x, sizeof(pixels));
    if (pixels != same) {
      break;
    }
  }
  while (x < size && (mask[x] != 0) == is_object) {
    ++x;
  }
  return x;
}

// masks: one after the other. sizes: in pixels. counts: for each mask, one more than its pixels.
// ends: the number of counts up to the end of each mask.
void zs_seg_run_lengths(
  const uint8_t * masks, const int64_t * sizes, int32_t number, uint32_t * counts, int64_t * ends)
{
  int64_t count = 0;
  for (int32_t i = 0; i < number; masks += sizes[i++]) {
    int64_t x = 0;
    if (!sizes[i] || masks[0]) {
      counts[count++] = 0;  // the first run is background
    }
    while (x < sizes[i]) {
      const int64_t end = end_of_mask_run(masks, sizes[i], x);
      counts[count++] = (uint32_t)(end - x);
      x = end;
    }
    ends[i] = count;
  }
}
