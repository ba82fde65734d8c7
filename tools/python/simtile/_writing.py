"""Arrays into matrix files, a piece at a time."""

from typing import Any, Optional, Sequence

import numpy as np

from . import _simtile
from ._arguments import word
from .errors import InvalidArgumentError

_PIECE_BYTES = 4 << 20
_KEPT = {"float32": "f32", "float16": "f16", "uint8": "u8", "int8": "i8"}


def _as_numbers(ids: Sequence[Any]) -> Optional[np.ndarray]:
    """The ids as uint64, or None where they are no integers."""
    array = np.asarray(ids)
    if array.ndim != 1:
        raise InvalidArgumentError("ids are a flat sequence, one for each row")
    # NumPy has no integers for 2**64 - 1 beside what may be negative: it makes floats or objects of them.
    if array.dtype.kind in "fO" and all(_is_integer(value) for value in ids):
        array = np.array([int(value) for value in ids], dtype=object)
    elif array.dtype.kind not in "iu":
        return None
    if len(array) and (int(array.min()) < 0 or int(array.max()) >= 2**64):
        raise InvalidArgumentError("ids that are numbers are 0 to 2**64 - 1; give strings for others")
    return array.astype(np.uint64)


def _is_integer(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


class _Ids:
    """The ids of the rows, to be appended piece by piece."""

    def __init__(self, ids: Optional[Sequence[Any]], rows: int):
        self.kind = "none"
        self._ids: Any = None
        if ids is None:
            return
        if len(ids) != rows:
            raise InvalidArgumentError(f"there are {rows} rows but {len(ids)} ids; give one id for each row")
        numbers = _as_numbers(ids)
        self.kind, self._ids = ("string", ids) if numbers is None else ("u64", numbers)

    def append(self, writer: Any, begin: int, end: int) -> None:
        if self.kind == "u64":
            writer.append_numbers(self._ids[begin:end])
        elif self.kind == "string":
            piece = list(self._ids[begin:end])
            for position, value in enumerate(piece):
                if not isinstance(value, str):
                    raise InvalidArgumentError(
                        f"the id of row {begin + position} is a {type(value).__name__}; "
                        "ids are all strings or all integers"
                    )
            writer.append_strings(piece)


def write_dense(
    x: Any, path: str, ids: Optional[Sequence[Any]], dtype: Optional[str], normalize: bool, durable: bool
) -> None:
    x = np.asarray(x)
    if x.ndim != 2:
        raise InvalidArgumentError(f"a matrix has 2 dimensions, this array {x.ndim}; reshape it")
    if x.dtype.kind not in "fiub":
        raise InvalidArgumentError(f"a matrix holds real numbers, not {x.dtype}")
    natural = _KEPT.get(x.dtype.name, "f32")
    if normalize and natural in ("u8", "i8"):
        natural = "f32"  # unit rows have no use for the integers that they came from
    stored = natural if dtype is None else word("dtype", dtype)
    row_ids = _Ids(ids, len(x))
    step = max(1, _PIECE_BYTES // (4 * max(1, x.shape[1])))
    # A float64 beyond float32 becomes an infinity, which the writer refuses.
    with np.errstate(over="ignore"), _simtile.MatrixWriter(
        path,
        columns=x.shape[1],
        dtype=stored,
        sparse=False,
        id_kind=row_ids.kind,
        normalize=normalize,
        integers=stored == "i8" and x.dtype == np.int8,
        durable=durable,
    ) as writer:
        for begin in range(0, len(x), step):
            writer.append_dense(np.ascontiguousarray(x[begin : begin + step], dtype=np.float32))
            row_ids.append(writer, begin, min(begin + step, len(x)))
        writer.finish()


def write_sparse(x: Any, path: str, ids: Optional[Sequence[Any]], normalize: bool, durable: bool) -> None:
    x = x.tocsr()
    if not x.has_canonical_format:
        x = x.copy()
        x.sum_duplicates()
    row_ids = _Ids(ids, x.shape[0])
    with _simtile.MatrixWriter(
        path,
        columns=x.shape[1],
        dtype="f32",
        sparse=True,
        id_kind=row_ids.kind,
        normalize=normalize,
        integers=False,
        durable=durable,
    ) as writer:
        begin = 0
        while begin < x.shape[0]:
            end = _end_of_piece(x.indptr, begin)
            first, last = int(x.indptr[begin]), int(x.indptr[end])
            writer.append_sparse(
                (x.indptr[begin : end + 1] - first).astype(np.int64),
                x.indices[first:last].astype(np.uint32),
                x.data[first:last].astype(np.float32),
            )
            row_ids.append(writer, begin, end)
            begin = end
        writer.finish()


def _end_of_piece(starts: Any, begin: int) -> int:
    """As many rows as make a piece, and one at least."""
    limit = int(starts[begin]) + _PIECE_BYTES // 8
    end = max(begin + 1, int(np.searchsorted(starts, limit, side="right")) - 1)
    return min(end, begin + (1 << 16), len(starts) - 1)
