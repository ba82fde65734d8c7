"""Exact nearest neighbours of matrices larger than memory.

    import simtile
    m = simtile.Matrix.from_numpy(x, "items.emb", ids=skus)
    nn = simtile.join(m, top_k=200, metric="cosine", budget="1GiB", out="items.knn")
    rows, scores = nn[42]
    s = simtile.Searcher("items.emb")
    rows, scores = s.search(q, 10)

Matrices (.emb) and neighbours (.knn) are files, mapped read-only: processes that open the same file share its pages.
Scores: "cosine" and "ip" (inner product), larger is better; "l2", the squared distance, smaller is better. They are
exact in float32, and the same to the bit whatever the threads, the budget and the processor. Equal scores go to the
smaller row. Errors are subclasses of simtile.Error.

Readers and searchers may be used from several threads at once. Each opened file may be used in a child process after
fork, and each reader can be pickled: the other process opens the file itself.
"""

import os

from . import _simtile
from .errors import (
    BudgetTooSmallError,
    CorruptError,
    Error,
    InterruptedJobError,
    InvalidArgumentError,
    IoError,
)
from .jobs import join, plan, screen, search
from .matrix import Matrix
from .neighbours import Neighbours
from .searcher import Searcher

__version__: str = _simtile.version

__all__ = [
    "BudgetTooSmallError",
    "CorruptError",
    "Error",
    "InterruptedJobError",
    "InvalidArgumentError",
    "IoError",
    "Matrix",
    "Neighbours",
    "Searcher",
    "import_file",
    "instruction_set",
    "join",
    "plan",
    "screen",
    "search",
    "verify",
]

import_file = Matrix.from_file


def verify(path) -> None:
    """Reads a simtile file whole and checks every checksum.

    Raises CorruptError, which names the first damaged block, or IoError.
    """
    _simtile.verify(os.fspath(path))


def instruction_set() -> str:
    """The widest instruction set in use here: "avx512", "avx2" or "scalar"."""
    return _simtile.instruction_set()
