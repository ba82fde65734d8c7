"""simtile's files, made by simtile and read with numpy."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np


def generate(simtile, folder, rows, dims, seed=1, dtype="f32"):
    """A Gaussian matrix file; one that an earlier work made is used again."""
    path = Path(folder) / f"gaussian-{rows}x{dims}-{dtype}-seed{seed}.emb"
    if not path.exists():
        subprocess.run([simtile, "generate", str(path), "--rows", str(rows), "--dims", str(dims), "--kind", "gaussian",
                        "--seed", str(seed), "--dtype", dtype, "--progress", "none"],
                       check=True, stdout=subprocess.DEVNULL)
    return str(path)


def info(simtile, path):
    done = subprocess.run([simtile, "info", path, "--json"], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def matrix_view(facts):
    """The rows of a dense f32 matrix file, given what info() says of it; nothing is read until it is touched."""
    floats = facts["row_stride_bytes"] // 4
    padded = np.memmap(facts["path"], "<f4", "r", facts["payload_offset"], (facts["rows"], floats))
    return padded[:, :facts["columns"]]


def neighbours_view(facts):
    """(rows, scores) of a neighbours file, given what info() says of it."""
    shape = (facts["rows"], facts["top_k"])
    return (np.memmap(facts["path"], "<i8", "r", facts["rows_offset"], shape),
            np.memmap(facts["path"], "<f4", "r", facts["scores_offset"], shape))


def drop_from_page_cache(path):
    """Asks the kernel to forget the file's pages; it does, unless a process has them mapped."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def cached_share(path, samples=64):
    """The share of sampled pages that are in the page cache."""
    size = os.path.getsize(path)
    cached = 0
    with open(path, "rb") as file:
        for i in range(samples):
            try:
                cached += os.preadv(file.fileno(), [bytearray(1)], i * size // samples, os.RWF_NOWAIT)
            except BlockingIOError:
                pass
    return cached / samples
