# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The processor of this machine: its instructions for products of 16 and of 8 bits, as Linux lists them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")

_NAMES = {
    "avx2": "AVX2",
    "avx512f": "AVX-512",
    "avx512_bf16": "AVX512-BF16",
    "amx_bf16": "AMX-BF16",
    "avx512_vnni": "AVX512-VNNI",
    "avx_vnni": "AVX-VNNI",
    "asimd": "NEON",
    "bf16": "BF16",
}
"""Flags of Linux, on x86 and on Arm, and the names that vendors give these instructions."""

_USED_BY_TORCH = frozenset({"avx512bw", "avx512vl", "avx512dq"})
"""Without these torch computes bf16 by conversion to 32 bits, which is slower than fp32."""


@dataclass(frozen=True)
class Processor:
    """A processor. name: as it reports it, perhaps empty. flags: its instructions, by Linux's names."""

    name: str
    flags: frozenset[str]

    @property
    def multiplies_bf16(self) -> bool:
        """Return whether it has instructions for products of bf16 matrices that torch uses: AVX512-BF16 or AMX."""
        return self.flags >= _USED_BY_TORCH and bool({"avx512_bf16", "amx_bf16"} & self.flags)

    @property
    def adds_8_bit_products_in_32(self) -> bool:
        """Return whether it has VNNI: others add two products of 8 bits in 16, which weights of all 8 bits overflow."""
        return bool({"avx512_vnni", "avx_vnni"} & self.flags)

    @property
    def description(self) -> str:
        """Name the processor and what it offers, for people."""
        offered = [name for flag, name in _NAMES.items() if flag in self.flags]
        bf16 = "" if self.multiplies_bf16 else "; no AVX512-BF16 or AMX"
        return f"{self.name or 'unknown processor'} ({', '.join(offered) or 'no known instructions'}{bf16})"


@lru_cache(maxsize=1)
def this_processor() -> Processor:
    """Describe the processor of this machine; without Linux's list of its flags it has none."""
    try:
        return parse_cpuinfo(_CPUINFO.read_text(encoding="ascii", errors="replace"))
    except OSError:
        return Processor("", frozenset())


def parse_cpuinfo(text: str) -> Processor:
    """Parse the first processor of /proc/cpuinfo, whose list is called flags on x86 and Features on Arm."""
    fields: dict[str, str] = {}
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        if colon:
            fields.setdefault(key.strip().lower(), value.strip())
    flags = fields.get("flags") or fields.get("features") or ""
    return Processor(fields.get("model name", ""), frozenset(flags.split()))
