"""Matrix files: the rows that are compared."""

import os
from typing import Any, Optional, Sequence, Union

import numpy as np

from . import _simtile
from ._arguments import row_numbers, whole, word
from ._writing import write_dense, write_sparse

Path = Union[str, "os.PathLike[str]"]


class Matrix:
    """A matrix file (.emb), opened read-only and mapped.

    path: the file.
    check: when bytes are held against their checksums. "touch" (default): each 64 KiB block when a copying read first
        meets it; "full": all before the constructor returns; "fast": only the header. Zero-copy views read the mapping
        itself and are checked by "full" alone.

    Raises IoError, or CorruptError for what is no whole matrix file.

    A file that is replaced (renamed over) is read on in its old version until reload(). Views, as those of
    numpy.memmap, must not be read after somebody has cut the file short in place; simtile itself never does that.
    """

    def __init__(self, path: Path, *, check: str = "touch"):
        self._path = os.fspath(path)
        self._check = check
        self._file = _simtile.Matrix(self._path, word("check", check))
        self._take_generation()

    def _take_generation(self) -> None:
        self._info = self._file.info()
        self._rows = None if self._info["sparse"] else self._file.mapped_rows()
        self._is_plain = self._info["element_type"] in ("f32", "f16", "u8")

    @classmethod
    def from_numpy(
        cls,
        x: Any,
        path: Path,
        *,
        ids: Optional[Sequence[Any]] = None,
        dtype: Optional[str] = None,
        normalize: bool = False,
        durable: bool = True,
    ) -> "Matrix":
        """Writes a 2-d array as a matrix file, which appears whole under its name, and opens it.

        x: rows x columns of finite numbers. float32, float16, uint8 and int8 are kept as they are; the rest becomes
            float32.
        ids: one id for each row, all strings, none of them empty, or all integers from 0 to 2**64 - 1.
        dtype: "f32", "f16", "bf16", "i8" or "u8", to store something else.
        normalize: scale each row to Euclidean norm one; a zero row stays zero.
        durable: wait until the disk has it. False saves that, for files that may be lost in a power cut.

        Raises CorruptError for NaN, infinity or what the dtype cannot hold, with row and column, and for an empty id;
        InvalidArgumentError for a wrong shape, number or kind of ids; IoError.
        """
        write_dense(x, os.fspath(path), ids, dtype, normalize, durable)
        return cls(path)

    @classmethod
    def from_scipy(
        cls,
        x: Any,
        path: Path,
        *,
        ids: Optional[Sequence[Any]] = None,
        normalize: bool = False,
        durable: bool = True,
    ) -> "Matrix":
        """Writes a SciPy sparse matrix as a matrix file (rows of float32) and opens it. Otherwise as from_numpy."""
        write_sparse(x, os.fspath(path), ids, normalize, durable)
        return cls(path)

    @classmethod
    def from_file(
        cls,
        source: Path,
        path: Path,
        *,
        format: str = "auto",
        dtype: Optional[str] = None,
        ids: Optional[Path] = None,
        dataset: str = "",
        normalize: bool = False,
        text_dims: int = 0,
    ) -> "Matrix":
        """Brings a foreign file into a matrix file, in bounded memory whatever its size, and opens it.

        source: .npy, .npz, .fvecs, .bvecs, .ivecs, .fbin, .u8bin, .i8bin, .mtx, .safetensors, .h5, word vectors, or
            lines of text; `format` says which when the name does not.
        ids: a file with one id a line.
        dataset: the member, tensor or dataset of a source that has several.
        text_dims: text alone: 0 makes a sparse matrix of TF-IDF, else a dense one of so many columns.
        """
        _simtile.import_file(
            os.fspath(source),
            os.fspath(path),
            format=word("format", format),
            dtype="" if dtype is None else word("dtype", dtype),
            ids_path="" if ids is None else os.fspath(ids),
            dataset=word("dataset", dataset),
            normalize=normalize,
            text_dims=whole("text_dims", text_dims),
        )
        return cls(path)

    @property
    def path(self) -> str:
        return self._path

    @property
    def shape(self) -> "tuple[int, int]":
        """(rows, columns)."""
        return self._info["rows"], self._info["columns"]

    @property
    def element_type(self) -> str:
        """How the file stores an element: "f32", "f16", "bf16", "i8" or "u8"."""
        return self._info["element_type"]

    @property
    def dtype(self) -> np.dtype:
        """Of what m[...] gives: the stored type, or float32 where NumPy has no word for that (bf16, scaled i8)."""
        return self._rows.dtype if self._rows is not None and self._is_plain else np.dtype(np.float32)

    @property
    def is_sparse(self) -> bool:
        return self._info["sparse"]

    @property
    def info(self) -> "dict[str, Any]":
        """What the file says of itself; `identity` differs whenever the content does."""
        return dict(self._info)

    @property
    def generation(self) -> int:
        """1, and one more for each reload() that swapped."""
        return self._file.generation()

    def __len__(self) -> int:
        return self._info["rows"]

    def __repr__(self) -> str:
        rows, columns = self.shape
        kind = f", {self._info['nonzeros']} non-zeros" if self.is_sparse else ""
        return f"<simtile.Matrix {self._path!r}: {rows} x {columns} {self.element_type}{kind}>"

    def __getitem__(self, key: Any) -> Any:
        """Rows, as NumPy would index them: m[7], m[10:20], m[[3, 1]], m[mask], m[10:20, :8].

        f32, f16 and u8: read-only views of the mapped file for integers and slices, no byte is copied; lists and masks
        copy, as they do in NumPy. A view keeps the mapping, whatever becomes of the Matrix. bf16 and i8 are decoded to
        new float32 arrays. Sparse: a float32 scipy.sparse.csr_matrix; rows alone can be asked for.
        """
        if self._rows is not None and self._is_plain:
            return self._rows[key]
        rows, rest = (key[0], key[1:]) if isinstance(key, tuple) else (key, ())
        chosen = np.arange(len(self), dtype=np.uint64)[rows]
        if self.is_sparse:
            if rest:
                raise IndexError("a sparse matrix gives whole rows; index the columns of what it gives")
            return self._csr(np.atleast_1d(chosen))
        decoded = self._file.read_rows(np.ascontiguousarray(np.atleast_1d(chosen)))
        decoded = decoded if np.ndim(chosen) else decoded[0]
        return decoded[(slice(None),) * np.ndim(chosen) + rest] if rest else decoded

    def _csr(self, chosen: np.ndarray) -> Any:
        from scipy.sparse import csr_matrix

        starts, columns, values = self._file.read_csr(np.ascontiguousarray(chosen))
        # SciPy's column numbers have a sign.
        columns = columns.view(np.int32) if self.shape[1] <= 2**31 else columns.astype(np.int64)
        return csr_matrix((values, columns, starts), shape=(len(chosen), self.shape[1]))

    def __array__(self, dtype: Any = None, copy: Optional[bool] = None) -> np.ndarray:
        """numpy.asarray(m): all rows; a view where m[:] is one."""
        if self.is_sparse:
            raise TypeError("a sparse matrix is no array; take rows of it, or use scipy")
        rows = self[:]
        if dtype is not None and np.dtype(dtype) != rows.dtype:
            return rows.astype(dtype)
        return rows.copy() if copy else rows

    def rows(self, which: Any) -> np.ndarray:
        """Decoded float32 copies of rows, `len(which)` x columns, each block held against its checksum first.

        which: row numbers, 0 to len(m) - 1. Raises InvalidArgumentError for another, CorruptError for a damaged block.
        """
        return self._file.read_rows(row_numbers("which", which))

    def id(self, row: int) -> str:
        """What the user calls a row; its number where there are no ids."""
        return self._file.id(whole("row", row))

    def find(self, id: Any) -> Optional[int]:
        """The first row with this id, or None."""
        return self._file.find(str(id))

    def reload(self) -> bool:
        """Takes the file that the path names now, if it is another one, and says whether it was. Views stay."""
        swapped = self._file.reload()
        if swapped:
            self._take_generation()
        return swapped

    def __reduce__(self) -> Any:
        return _open_matrix, (self._path, self._check)


def _open_matrix(path: str, check: str) -> Matrix:
    return Matrix(path, check=check)
