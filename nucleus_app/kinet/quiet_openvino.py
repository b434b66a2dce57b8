"""OpenVINO without its telemetry. The import alone reports itself to OpenVINO's maker over the internet, from a forked
process; a fork of a process with threads may hang for ever, and with it what it inherited, such as the worker's lock.
"""

import sys

sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # whoever imports it is told that it is not installed
import openvino as ov  # noqa: E402

__all__ = ["ov"]
