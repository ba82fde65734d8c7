"""The main job: the top K of all rows."""

import os
from typing import Any, Callable, Optional, Union

from . import _simtile
from ._arguments import threads as checked_threads
from ._arguments import whole
from .neighbours import Neighbours

Path = Union[str, "os.PathLike[str]"]
Size = Union[None, int, str]


def _path(matrix: Any) -> str:
    return os.fspath(getattr(matrix, "path", matrix))


def _bytes(size: Size) -> int:
    if size is None:
        return 0
    # No bytes at all are a budget too, and too small a one: 0 stands for "not given" below.
    return max(1, _simtile.parse_byte_size(size) if isinstance(size, str) else whole("budget", size))


def _callback(progress: Any) -> Optional[Callable[[int, int], Any]]:
    """A tqdm bar has `update` and `n`; anything else is called with the rows done and the rows in all."""
    if progress is None or not hasattr(progress, "update"):
        return progress

    def advance(done: int, total: int) -> None:
        if getattr(progress, "total", None) != total:
            progress.total = total
        progress.update(done - progress.n)

    return advance


def _options(
    top_k: int,
    metric: str,
    budget: Size,
    threads: int = 0,
    min_score: Optional[float] = None,
    isa: str = "auto",
    screen: str = "auto",
    work_dir: Optional[Path] = None,
    fresh: bool = False,
    checkpoint_seconds: float = 1.0,
) -> "dict[str, Any]":
    return {
        "top_k": top_k,
        "metric": metric,
        "budget_bytes": _bytes(budget),
        "threads": threads,
        "min_score": min_score,
        "isa": isa,
        "screen": screen,
        "work_dir": "" if work_dir is None else os.fspath(work_dir),
        "fresh": fresh,
        "checkpoint_seconds": checkpoint_seconds,
    }


def join(
    matrix: Any,
    *,
    out: Path,
    top_k: int = 10,
    metric: str = "cosine",
    budget: Size = None,
    progress: Any = None,
    **options: Any,
) -> Neighbours:
    """Finds every row's top_k most similar other rows, and opens the neighbours file that it wrote.

    matrix: a Matrix or the path of one.
    out: the neighbours file to write; it appears whole or not at all.
    top_k: at least 1; or 0 with a min_score: all pairs that are good enough, however many.
    metric: "cosine", "ip" or "l2" (squared distance, smaller is better).
    budget: most memory that the whole process may use, what it holds already included: "1GiB", "512MB" or bytes.
        Default: what it holds, and half of what it may still take.
    progress: called now and then, in this thread, with (rows_done, rows_total); or a tqdm bar.
    options: threads (0: one for each processor), min_score (keep pairs at least this good), screen ("auto", "on",
        "off") and isa ("auto", "scalar", "avx2", "avx512"), neither of which changes the answer, work_dir (default: out
        + ".work"), fresh (forget what an interrupted run left), checkpoint_seconds (default 1).

    Ctrl-C raises KeyboardInterrupt at the next tile; what was done is kept in the work folder, and the same call goes
    on from there. An exception of `progress` does the same. Raises BudgetTooSmallError, which names the smallest that
    works, InvalidArgumentError, CorruptError, IoError.
    """
    return _run(_path(matrix), "", out, _options(top_k, metric, budget, **options), progress)


def search(
    base: Any,
    queries: Any,
    *,
    out: Path,
    top_k: int = 10,
    metric: str = "cosine",
    budget: Size = None,
    progress: Any = None,
    **options: Any,
) -> Neighbours:
    """Finds every query row's top_k most similar rows of the base; both are a Matrix or the path of one, with as many
    columns. For a few vectors in memory, Searcher is the tool. Otherwise as join()."""
    return _run(_path(base), _path(queries), out, _options(top_k, metric, budget, **options), progress)


def _run(base: str, queries: str, out: Path, options: "dict[str, Any]", progress: Any) -> Neighbours:
    report = _simtile.run_job(base, queries, os.fspath(out), options, _callback(progress))
    neighbours = Neighbours(out)
    neighbours.report = report
    return neighbours


def plan(
    matrix: Any,
    queries: Any = None,
    *,
    top_k: int = 10,
    metric: str = "cosine",
    budget: Size = None,
    **options: Any,
) -> "dict[str, Any]":
    """What join(matrix), or search(matrix, queries), would do and need, with smallest_budget_bytes; does no work."""
    return _simtile.plan_job(
        _path(matrix), "" if queries is None else _path(queries), _options(top_k, metric, budget, **options)
    )


def screen(matrix: Any, *, out: Optional[Path] = None, budget: Size = None, threads: int = 0) -> None:
    """Makes the matrix's screen file, by default beside it, where jobs look for it: bounds that let joins and searches
    skip work, to the same bytes. Dense matrices of at least 64 rows and 32 columns."""
    path = "" if out is None else os.fspath(out)
    _simtile.build_screen(_path(matrix), path, _bytes(budget), checked_threads(threads))
