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

// CLIPSeg's decoder for processors with AVX512-BF16, in bf16.

#if defined(__x86_64__) && (defined(__clang__) ? __clang_major__ >= 9 : __GNUC__ >= 10)
#define NAMED(function) zs_seg_##function##_avx512_bf16
#define TARGET "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16"
#define LANES 16
#define UNITS 8
#define VECTORS 3
#define PAIRS 1
#include "src/decoder_layer.h"
#include "src/decoder_upsampling.h"
#endif
