"""What the numbers were measured on."""

from __future__ import annotations

import datetime
import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

SIMD = (  # widest first: (a flag of the CPU, what it is called)
    ("avx512f", "AVX-512"),
    ("avx2", "AVX2"),
    ("avx", "AVX"),
    ("sse4_2", "SSE4.2"),
    ("asimd", "NEON"),
)
PACKAGES = ("numpy", "numba", "torch", "jax", "mygrad", "cupy-cuda12x", "cupy-cuda13x")


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu() -> tuple[str, str]:
    """The CPU's model and its widest SIMD extension, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    facts: dict[str, str] = {}
    for line in lines:
        key, _, value = line.partition(":")
        facts.setdefault(key.strip().lower(), value.strip())
    flags = (facts.get("flags") or facts.get("features") or "").split()
    if "amx_tile" in flags:
        simd = "AVX-512 and AMX"
    else:
        simd = next((name for flag, name in SIMD if flag in flags), "unknown SIMD")
    return facts.get("model name") or platform.processor() or platform.machine(), simd


BUSY = 0.5  # a load average above this says that other programs want the CPU too


def load() -> float:
    """How many programs wanted the CPU over the last minute; 0 where the system does not tell."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


def describe(device: str, threads: int) -> dict[str, Any]:
    """The machine, the software and the day."""
    model, simd = cpu()
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    described = {
        "cpu": model,
        "cores": cores(),
        "simd": simd,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": versions,
        "threads": threads,
        "load": round(load(), 2),
        "device": device,
        "date": datetime.date.today().isoformat(),
    }
    if device == "cuda":
        import minigrad

        described["gpu"] = minigrad.cuda.get_device_name()
    return described


def sentence(machine: dict[str, Any]) -> str:
    """The description in one line."""
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    gpu = f"{machine['gpu']}; " if "gpu" in machine else ""
    return (
        f"{gpu}{machine['cpu']}, {machine['cores']} cores ({machine['simd']}), {machine['threads']} threads, "
        f"{machine['system']}, Python {machine['python']}, {packages}; {machine['date']}"
    )
