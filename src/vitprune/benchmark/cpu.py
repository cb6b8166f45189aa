"""The name of the processor."""

import platform
from pathlib import Path

LINUX = Path("/proc/cpuinfo")


def cpu_name() -> str:
    """Return the name of the CPU, such as `CPU AMD EPYC 9R14`."""
    lines = LINUX.read_text().splitlines() if LINUX.is_file() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"CPU {[*models, platform.processor() or platform.machine()][0]}"
