"""Neighbours files: the answer of a join or search."""

import operator
import os
from typing import Any, Iterator, Optional, Tuple, Union

import numpy as np

from . import _simtile
from ._arguments import whole, word

Path = Union[str, "os.PathLike[str]"]
RowsAndScores = Tuple[np.ndarray, np.ndarray]


class Neighbours:
    """A neighbours file (.knn), opened read-only: for each query row its neighbours, best first. A top K, or, of a job
    with top_k=0 and a min_score, all pairs that are good enough: then each row has any number of them.

    path: the file.
    check: as for Matrix; every read here copies, so "touch" (default) checks all that is read.

    Raises IoError, or CorruptError for what is no whole neighbours file.
    """

    def __init__(self, path: Path, *, check: str = "touch"):
        self._path = os.fspath(path)
        self._check = check
        self._file = _simtile.Neighbours(self._path, word("check", check))
        #: What the job that made it says of itself (budget_bytes, peak_rss_bytes, seconds, ...), after join() and
        #: search(); None when the file was opened.
        self.report: "Optional[dict[str, Any]]" = None

    @property
    def path(self) -> str:
        return self._path

    @property
    def info(self) -> "dict[str, Any]":
        """What the file says of itself: rows, top_k (0: all pairs), entries, base_rows, metric, self_join, ..."""
        return self._file.info()

    @property
    def shape(self) -> "tuple[int, int]":
        """(query rows, top_k); a top_k of 0 stands for all pairs."""
        info = self._file.info()
        return info["rows"], info["top_k"]

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        info = self.info
        kept = f"x {info['top_k']}" if info["top_k"] else f"with {info['entries']} pairs"
        return f"<simtile.Neighbours {self._path!r}: {info['rows']} rows {kept}, {info['metric']}>"

    def __getitem__(self, row: Any) -> RowsAndScores:
        """nn[42]: the row's neighbours (int64) and their scores (float32), best first; shorter than top_k when there
        are no more. nn[10:20], of a top K alone: two arrays of 10 x top_k, -1 and NaN where a row has fewer."""
        total = len(self)
        if isinstance(row, slice):
            begin, end, step = row.indices(total)
            if step != 1:
                raise IndexError("rows are read in order; use a step of 1")
            return self._file.read_rows(begin, max(0, end - begin))
        try:
            number = operator.index(row)
        except TypeError:
            raise IndexError(f"rows are integers or slices of them, not {row!r}") from None
        if not -total <= number < total:
            raise IndexError(f"there is no row {number}; rows are 0 to {total - 1}")
        return self._file.read_row(number % total)

    def row(self, row: int) -> RowsAndScores:
        """All that the row has, as nn[row], of a top K and of all pairs alike; row: 0 to len(nn) - 1."""
        return self._file.read_row(whole("row", row))

    def __iter__(self) -> Iterator[RowsAndScores]:
        for row in range(len(self)):
            yield self[row]

    def to_numpy(self) -> RowsAndScores:
        """All neighbours (int64) and scores (float32), rows x top_k each; -1 and NaN where a row has fewer.

        Of a top K; all pairs are no such rectangle: InvalidArgumentError. to_pairs() and to_csr() are for both.
        """
        return self[:]

    def to_pairs(self) -> "Tuple[np.ndarray, np.ndarray, np.ndarray]":
        """All rows, one after the other, best first, without padding: starts (int64, one more than there are rows),
        neighbours (int64) and scores (float32); row i has neighbours[starts[i]:starts[i + 1]]."""
        return self._file.read_pairs()

    def to_csr(self, *, mode: str = "scores") -> Any:
        """The graph as a scipy.sparse.csr_matrix, query rows x base rows, columns ascending in each row.

        mode: "scores" (float32; an entry may be an explicit zero) or "connectivity" (ones).
        """
        from scipy.sparse import csr_matrix

        if mode not in ("scores", "connectivity"):
            raise ValueError(f"mode is 'scores' or 'connectivity', not {mode!r}")
        starts, rows, scores = self.to_pairs()
        values = scores if mode == "scores" else np.ones(len(rows), dtype=np.float32)
        graph = csr_matrix((values, rows, starts), shape=(len(starts) - 1, self.info["base_rows"]))
        graph.sort_indices()
        return graph

    def query_id(self, row: int) -> str:
        """What the user calls a query row; its number where there are no ids."""
        return self._file.query_id(whole("row", row))

    def base_id(self, row: int) -> str:
        """What the user calls a row that was found; its number where there are no ids."""
        return self._file.base_id(whole("row", row))

    def find(self, id: Any) -> Optional[int]:
        """The first query row with this id, or None."""
        return self._file.find(str(id))

    def reload(self) -> bool:
        """Takes the file that the path names now, if it is another one, and says whether it was."""
        return self._file.reload()

    def __reduce__(self) -> Any:
        return _open_neighbours, (self._path, self._check)


def _open_neighbours(path: str, check: str) -> Neighbours:
    return Neighbours(path, check=check)
