"""Real sets, where they are: the folder $SIMTILE_SHARED_DATA, or ../shared/data beside the repository."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.machine import SOURCE_DIR


@dataclass(frozen=True)
class RealSet:
    base: str
    queries: str = ""  # another file of the same columns, to be searched for


SETS = {
    "fashion-mnist": RealSet("fashion-mnist-784-train.u8bin", "fashion-mnist-784-test.u8bin"),
    "cmudict": RealSet("cmudict-phonetic-134k-50.fbin"),
    "bge-queries": RealSet("bright-queries-bge-large-1024.fbin"),
}


def folder():
    return Path(os.environ.get("SIMTILE_SHARED_DATA") or SOURCE_DIR.parent / "shared" / "data")


def is_there(name):
    return (folder() / SETS[name].base).exists()


def shape(file_name):
    """(rows, columns) of a .u8bin or .fbin file; zeros where there is no file."""
    path = folder() / file_name
    return tuple(int(n) for n in np.fromfile(path, "<u4", 2)) if file_name and path.exists() else (0, 0)


def imported(simtile, into, file_name):
    """The set's file as an f32 matrix file; one that an earlier work made is used again."""
    path = Path(into) / (file_name + ".emb")
    if not path.exists():
        subprocess.run([simtile, "import", str(folder() / file_name), str(path), "--dtype", "f32", "--progress", "none"],
                       check=True, stdout=subprocess.DEVNULL)
    return str(path)
