"""Searches of a mapped matrix."""

import os
from typing import Any, Optional, Sequence, Tuple, Union

import numpy as np

from . import _simtile
from ._arguments import real, row_numbers, whole, word
from ._arguments import threads as checked_threads
from .errors import InvalidArgumentError

Path = Union[str, "os.PathLike[str]"]


class Searcher:
    """Finds the most similar rows of a dense matrix file, exactly, again and again. Each search reads the whole base
    once for all of its queries: hand over many at a time.

    base: a matrix file, or a Matrix.
    threads: for each search; 0: one for each processor that the process may use.
    check: as for Matrix; searches check each block the first time they meet it.
    isa: "auto", or "scalar", "avx2", "avx512"; never changes the answer.

    Threads: search() may be called from several at once; Python's lock is not held meanwhile. A search cannot be
    interrupted. Raises IoError, CorruptError, and InvalidArgumentError for a sparse matrix.
    """

    def __init__(self, base: Any, *, threads: int = 0, check: str = "touch", isa: str = "auto"):
        self._path = os.fspath(getattr(base, "path", base))
        self._options = (threads, check, isa)
        self._searcher = _simtile.Searcher(
            self._path, mode=word("check", check), threads=checked_threads(threads), isa=word("isa", isa)
        )

    @property
    def path(self) -> str:
        return self._path

    @property
    def shape(self) -> "tuple[int, int]":
        """(rows, columns) of the base."""
        return self._searcher.rows(), self._searcher.columns()

    def __repr__(self) -> str:
        rows, columns = self.shape
        return f"<simtile.Searcher {self._path!r}: {rows} x {columns}>"

    def _queries(self, q: Any) -> np.ndarray:
        queries = np.ascontiguousarray(q, dtype=np.float32)
        columns = self._searcher.columns()
        if queries.ndim not in (1, 2) or queries.shape[-1] != columns:
            raise InvalidArgumentError(
                f"queries are one vector of {columns} values or rows of them, not an array of shape {np.shape(q)}"
            )
        return queries

    def search(
        self,
        q: Any,
        top_k: int = 10,
        *,
        metric: str = "cosine",
        min_score: Optional[float] = None,
        exclude: Sequence[int] = (),
    ) -> Tuple[np.ndarray, np.ndarray]:
        """The top_k rows of each query, best first.

        q: one vector (columns,) or several (n, columns) of finite numbers, taken as float32.
        metric: "cosine", "ip" or "l2" (squared distance, smaller is better).
        min_score: keep rows at least this good alone (l2: at most this distance).
        exclude: rows that are never in the answer.

        Returns rows (int64) and scores (float32), of shape (top_k,) or (n, top_k); -1 and NaN where there are fewer.
        Raises InvalidArgumentError for a wrong shape, NaN or infinity.
        """
        queries = self._queries(q)
        rows, scores = self._searcher.search(
            np.atleast_2d(queries),
            whole("top_k", top_k, least=1),
            word("metric", metric),
            None if min_score is None else real("min_score", min_score),
            row_numbers("exclude", exclude),
        )
        return (rows[0], scores[0]) if queries.ndim == 1 else (rows, scores)

    def search_within(
        self, q: Any, min_score: float, *, metric: str = "cosine"
    ) -> "list[Tuple[np.ndarray, np.ndarray]]":
        """For each query all rows at least as good as min_score (l2: at most this squared distance), best first.

        q: (n, columns), taken as float32. Returns n pairs of rows (int64) and scores (float32).
        """
        ends, rows, scores = self._searcher.search_within(
            np.atleast_2d(self._queries(q)), word("metric", metric), real("min_score", min_score)
        )
        begins = [0, *ends]
        return [(rows[begin:end], scores[begin:end]) for begin, end in zip(begins, ends)]

    def reload(self) -> bool:
        """Takes the file that the path names now, if it is another one, and says whether it was. Searches under way
        finish on the one that they began with."""
        return self._searcher.reload()

    def __reduce__(self) -> Any:
        return _open_searcher, (self._path, self._options)


def _open_searcher(path: str, options: "tuple[int, str, str]") -> Searcher:
    threads, check, isa = options
    return Searcher(path, threads=threads, check=check, isa=isa)
