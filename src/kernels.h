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

// What a frame costs beside the model is going over its pixels. numpy and OpenCV go over them once
// for each operation; each of these functions does all operations on a row while it is in the
// processor's cache. zs_seg_ros/kernels.py calls them and says what the arguments are; the package
// does the same in Python where they are not built (docs/decisions/0016-compiled-kernels.md).
//
// Arrays are in C order and belong to the caller. Nothing here has state, so all threads may call.

#ifndef KERNELS_H_
#define KERNELS_H_

#include <stdint.h>  // also defines __GLIBC__ where that is the C library

// Compiled again for AVX2 and for AVX-512, of which the loader takes what the processor has:
// distributions build for the oldest x86. Other processors have their vectors in the plain version.
#ifndef FOR_EACH_PROCESSOR
#if defined(__x86_64__) && defined(__GNUC__)
#define CHOOSE_BY_PROCESSOR  // functions with processors' own instructions
#endif
#if !defined(__x86_64__) || !defined(__GLIBC__)
#define FOR_EACH_PROCESSOR
#elif defined(__clang__) ? __clang_major__ >= 17 : __GNUC__ >= 12
#define FOR_EACH_PROCESSOR __attribute__((target_clones("arch=x86-64-v4", "avx2", "default")))
#elif defined(__clang__) ? __clang_major__ >= 14 : __GNUC__ >= 6
#define FOR_EACH_PROCESSOR __attribute__((target_clones("avx2", "default")))
#else
#define FOR_EACH_PROCESSOR
#endif
#endif
// Inlined, so that these parts are compiled for each processor, too.
#define PART static inline __attribute__((always_inline))

// The nearest integer, and of two the even one, as OpenCV rounds: floats of this size are whole.
PART float rounded(float value)
{
  const float whole = 12582912.0f;  // 1.5 * 2^23
  return value + whole - whole;
}

// Whether a pixel is the nearest one to a place; the first has its centre at 0.
PART int32_t is_inside(float place, int32_t length)
{
  return (place >= -0.5f) & (place < (float)length - 0.5f);
}

// The number of the pixel that is nearest to a place; -1 outside of the image.
PART int32_t nearest_pixel(float x, float y, int32_t height, int32_t width)
{
  const int32_t inside = is_inside(x, width) & is_inside(y, height);
  const float column = rounded(inside ? x : 0.0f), line = rounded(inside ? y : 0.0f);
  return ((int32_t)line * width + (int32_t)column) | (inside - 1);
}

// How bytes become the numbers of a model.
typedef struct
{
  float mean;
  double of_byte, of_value;  // factors
} normalisation_t;

PART normalisation_t normalisation(float mean, float std)
{
  const normalisation_t result = {mean, 1.0 / 255.0, 1.0 / std};
  return result;
}

// (byte / 255 - mean) / std in floats. A product in doubles is rounded to the same float as the
// quotient, which is never so close to the middle between two of them, and takes less time.
PART float normalised(uint8_t byte, const normalisation_t * by)
{
  const float value = (float)(byte * by->of_byte) - by->mean;
  return (float)(value * by->of_value);
}

#endif  // KERNELS_H_
