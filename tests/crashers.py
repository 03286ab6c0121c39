"""Functions that misbehave in every way a native library can; run in children only."""

import ctypes
import os
import signal
import time

from preprocessing.mesh_errors import MeshError


def misbehave(kind: str) -> str:
    """Do what `kind` says and, for those who survive it, return `kind`."""
    if kind == "segfault":
        ctypes.string_at(0)
    elif kind == "abort":
        os.abort()
    elif kind == "hang":
        ctypes.PyDLL(None).sleep(1000)  # PyDLL keeps the interpreter lock
    elif kind == "flood":
        kept = []
        while True:
            kept.append(bytearray(os.urandom(1 << 20) * 16))
    elif kind == "allocate":
        bytearray(1 << 45)
    elif kind == "raise":
        raise ValueError("as asked")
    elif kind == "reject":
        raise MeshError("empty", "the mesh has no faces")
    elif kind == "exit":
        os._exit(7)
    elif kind == "sigkill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif kind.startswith("sleep"):
        time.sleep(float(kind.removeprefix("sleep")))
    return kind
