"""Seeds, deterministic algorithms, and what a figure has to say about where it was measured."""

from __future__ import annotations

import os
import platform
import random
import subprocess
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy
import torch

from nasrestore.runtime.checkpoint import package_version


def seed_everything(seed: int) -> None:
    """Seeds Python's, numpy's global and torch's generators, those of every GPU included.

    On a CPU torch tells two seeds apart by their lowest 32 bits alone.

    Raises:
        ValueError: ``seed`` is not in [0, 2**64).
    """
    if not 0 <= seed < 2**64:
        raise ValueError(f"expected a seed in [0, 2**64), got {seed}")
    random.seed(seed)
    numpy.random.seed([seed & 0xFFFFFFFF, seed >> 32])
    torch.manual_seed(seed)


def deterministic_mode(enabled: bool, device: torch.device | str | None = None) -> None:
    """Makes the same seed give the same bits, with the same machine and number of threads.

    On a CPU an operation that cannot do it raises; on CUDA, where some have no deterministic
    kernel, it warns. Call it before the first CUDA operation: cuBLAS reads its setting once.

    Args:
        device: the device that computes; by default CUDA where there is one.
    """
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    on_cuda = torch.device(device).type == "cuda"
    if enabled and on_cuda:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = enabled
    torch.use_deterministic_algorithms(enabled, warn_only=enabled and on_cuda)
    # It would fill every fresh tensor with NaN first, which takes 7% of a step and helps only
    # code that reads memory that it has never written.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def environment() -> dict[str, Any]:
    """The machine, the versions and the system, for result files.

    ``machine``: ``cpu``, ``architecture``, ``cores`` (that this process may use), ``threads``
    (torch's), ``memory_gb`` (1e9 bytes; None where unknown) and ``gpus``, a list of names.
    ``versions``: python, torch, torchvision, nasrestore and cuda; None for what is not installed.
    ``os``: its name and release. Nothing tells whose machine it is or where the files lie.
    """
    return {
        "machine": {
            "cpu": _cpu_name(),
            "architecture": platform.machine(),
            "cores": _cores(),
            "threads": torch.get_num_threads(),
            "memory_gb": _memory_gb(),
            "gpus": _gpu_names(),
        },
        "versions": {
            "python": platform.python_version(),
            "torch": str(torch.__version__),
            "torchvision": _version("torchvision"),
            "nasrestore": package_version(),
            "cuda": torch.version.cuda if torch.cuda.is_available() else None,
        },
        "os": f"{platform.system()} {platform.release()}".strip(),
    }


def _cpu_name() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            if line.lower().startswith("model name"):
                return line.partition(":")[2].strip()
    if platform.system() == "Darwin":
        with suppress(OSError, subprocess.SubprocessError):
            command = ["sysctl", "-n", "machdep.cpu.brand_string"]
            return subprocess.run(
                command, capture_output=True, text=True, check=True
            ).stdout.strip()
    return platform.processor() or "unknown"


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory_gb() -> float | None:
    with suppress(AttributeError, ValueError, OSError):
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)
    return None


def _gpu_names() -> list[str]:
    if not torch.cuda.is_available():
        return []
    return [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
