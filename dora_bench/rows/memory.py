"""What a model's own work takes: resident and CUDA memory, apart from what the scorer holds."""

import ctypes
import os
import sys

from preprocessing.running.runner_child import peak_memory_mb, reset_peak_memory, resident_mb


def resident() -> float:
    """Resident memory of this process in MB, after what is free was given back to the system."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc; other allocators lack it
    if trim is not None:
        trim(0)
    return resident_mb(os.getpid())


def cuda_in_use() -> bool:
    """Whether this process has used CUDA through torch; does not import torch."""
    torch = sys.modules.get("torch")
    return torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized()


def wait_for_cuda() -> None:
    """Until the GPU has done what it was given: only then a time means anything."""
    if cuda_in_use():
        sys.modules["torch"].cuda.synchronize()


def is_cuda_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that a GPU has no memory left."""
    text = str(error).lower()
    is_named = type(error).__name__ == "OutOfMemoryError"
    return is_named or ("out of memory" in text and ("cuda" in text or "hip" in text))


def free_cuda() -> None:
    """Give unused GPU memory back, after an allocation that failed."""
    if cuda_in_use():
        sys.modules["torch"].cuda.empty_cache()


class PeakMemory:
    """The most that a block of work took above what was resident when it began.

    `grown_mb`: of main memory; `cuda_mb`: allocated on the GPU, weights included, None without one.
    Where the kernel does not let the peak start again, it is that of the process's whole life.
    """

    grown_mb = 0.0
    cuda_mb: float | None = None

    def __enter__(self) -> "PeakMemory":
        self.before = resident()
        reset_peak_memory()
        if cuda_in_use():
            sys.modules["torch"].cuda.reset_peak_memory_stats()
        return self

    def __exit__(self, *_: object) -> None:
        wait_for_cuda()
        self.grown_mb = max(0.0, peak_memory_mb(self.before) - self.before)
        if cuda_in_use():
            self.cuda_mb = sys.modules["torch"].cuda.max_memory_allocated() / 2**20
