"""Where a network may be trained in half precision."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import torch


def in_bfloat16(device: torch.device) -> torch.autocast:
    """Context in which the network computes in bfloat16 where the processor has it: there it halves the time and more,
    elsewhere it would be emulated and many times slower.
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=_has_bfloat16(device))


def _has_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return device.type == "cpu" and "avx512_bf16" in _cpu_flags()


@cache
def _cpu_flags() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    return cpuinfo.read_text() if cpuinfo.is_file() else ""
