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

// From the bytes of a resized image to the numbers that a model takes.

#include <stdint.h>

#include "src/kernels.h"

// pixels and planes: one channel after the other, `size` pixels each.
FOR_EACH_PROCESSOR
void zs_seg_normalise(
  const uint8_t * pixels, int32_t channels, int64_t size, const float * mean, const float * std,
  float * planes)
{
  for (int32_t c = 0; c < channels; ++c) {
    const normalisation_t by = normalisation(mean[c], std[c]);
    const uint8_t * from = pixels + c * size;
    float * to = planes + c * size;
    for (int64_t i = 0; i < size; ++i) {
      to[i] = normalised(from[i], &by);
    }
  }
}
