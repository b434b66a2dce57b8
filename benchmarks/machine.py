"""On what a benchmark ran: kept with its numbers, which are of that machine."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from nucleus_app import __version__


def name_machine() -> dict[str, Any]:
    """When, with which app, and on which processor."""
    cpuinfo = Path("/proc/cpuinfo")
    names = [line for line in cpuinfo.read_text().splitlines() if "model name" in line] if cpuinfo.is_file() else []
    return {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "app": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "processor": names[0].split(":")[1].strip() if names else platform.machine(),
    }
