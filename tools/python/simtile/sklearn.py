"""scikit-learn's NearestNeighbors, answered by simtile: change the import, keep the code.

    from simtile.sklearn import NearestNeighbors
"""

import os
import shutil
import tempfile
import weakref
from typing import Any, Iterable, Iterator, Optional, Tuple, Union

import numpy as np
from scipy.sparse import csr_matrix, issparse
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from .errors import Error
from .jobs import join, screen
from .jobs import search as search_files
from .neighbours import Neighbours
from .matrix import Matrix
from .searcher import Searcher

_METRICS = {"euclidean": "l2", "l2": "l2", "minkowski": "l2", "sqeuclidean": "l2", "cosine": "cosine"}
_ALGORITHMS = ("auto", "brute", "kd_tree", "ball_tree")
# From this many multiplications on, a job, which looks at bounds first, beats a pass of a Searcher.
_JOB_FLOPS = 2e11
# Queries whose neighbours within a radius are looked for at once; each may have all rows.
_RADIUS_QUERIES = 64
_RADIUS_JOB_QUERIES = 8192
_RADIUS_JOB_PAIRS = 1 << 28  # and go to disk, if all are near


class NearestNeighbors(BaseEstimator):
    """Exact nearest neighbours with scikit-learn's interface.

    Parameters have scikit-learn's names and defaults. Differences:

    algorithm: "auto", "brute", "kd_tree" and "ball_tree" are accepted and do the same: an exact search of all rows.
    metric: "minkowski" with p=2, "euclidean", "l2", "sqeuclidean" or "cosine"; others are a ValueError.
    n_jobs: threads; None and -1 are one for each processor.
    leaf_size, metric_params: accepted for code that passes them; metric_params must be None.
    budget: most memory that the process may use while it searches, as for simtile.join; by default what it holds and
        half of what it may still take.

    Values are compared as float32, so distances have its precision; uint8 stays as it is. Equal distances go to the
    smaller row. The fitted rows lie in a file in the temporary folder until the estimator is deleted; a Matrix, or the
    path of one, can be given to fit() instead of an array and is used where it lies.
    """

    def __init__(
        self,
        *,
        n_neighbors: int = 5,
        radius: float = 1.0,
        algorithm: str = "auto",
        leaf_size: int = 30,
        metric: str = "minkowski",
        p: float = 2,
        metric_params: Optional[dict] = None,
        n_jobs: Optional[int] = None,
        budget: Union[None, int, str] = None,
    ):
        self.n_neighbors = n_neighbors
        self.radius = radius
        self.algorithm = algorithm
        self.leaf_size = leaf_size
        self.metric = metric
        self.p = p
        self.metric_params = metric_params
        self.n_jobs = n_jobs
        self.budget = budget

    # ---- fitting

    def _check_parameters(self) -> None:
        if self.algorithm not in _ALGORITHMS:
            raise ValueError(f"algorithm is one of {', '.join(_ALGORITHMS)}, not {self.algorithm!r}")
        if self.metric not in _METRICS:
            raise ValueError(f"metric is one of {', '.join(_METRICS)}, not {self.metric!r}")
        if self.metric == "minkowski" and self.p != 2:
            raise ValueError(f"the minkowski metric is computed for p=2 alone, not p={self.p!r}")
        if self.metric_params:
            raise ValueError("metric_params are not used by any of the metrics here; leave them out")
        _check_count(self.n_neighbors)

    def fit(self, X: Any, y: Any = None) -> "NearestNeighbors":
        """Takes the rows to search in: an array or sparse matrix, (n_samples, n_features), a Matrix or a path."""
        self._check_parameters()
        if isinstance(X, (str, os.PathLike)):
            X = Matrix(X)
        if isinstance(X, Matrix):
            self._folder: Optional[weakref.finalize] = None
            self._matrix = X
            self.n_features_in_ = X.shape[1]
        else:
            self._write(_validated(self, X, reset=True))
        self._searcher: Optional[Searcher] = None
        self._wants_screen = False
        self.n_samples_fit_ = len(self._matrix)
        self.effective_metric_ = "euclidean" if self.metric in ("minkowski", "l2") else self.metric
        self.effective_metric_params_: dict = {}
        return self

    def _write(self, X: Any) -> None:
        folder = tempfile.mkdtemp(prefix="simtile-")
        # Not in a child of fork: the parent's files are not its to remove.
        self._folder = weakref.finalize(self, _remove_folder, folder, os.getpid())
        self._matrix = _write_rows(X, os.path.join(folder, "fitted.emb"))

    def __getstate__(self) -> dict:
        state = dict(super().__getstate__())
        if state.get("_folder") is not None:
            with open(state.pop("_matrix").path, "rb") as file:
                state["_fitted_bytes"] = file.read()
        state.pop("_folder", None)
        state.pop("_searcher", None)
        state.pop("_wants_screen", None)
        return state

    def __setstate__(self, state: dict) -> None:
        state = dict(state)
        fitted = state.pop("_fitted_bytes", None)
        super().__setstate__(state)
        if fitted is not None:
            folder = tempfile.mkdtemp(prefix="simtile-")
            self._folder = weakref.finalize(self, _remove_folder, folder, os.getpid())
            path = os.path.join(folder, "fitted.emb")
            with open(path, "wb") as file:
                file.write(fitted)
            self._matrix = Matrix(path)
        elif "_matrix" in state:
            self._folder = None
        self._searcher = None
        self._wants_screen = False

    def _more_tags(self) -> dict:
        return {"X_types": ["2darray", "sparse"]}

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_matrix")

    # ---- searching

    @property
    def _score(self) -> str:
        return _METRICS[self.metric]

    @property
    def _threads(self) -> int:
        return self.n_jobs if self.n_jobs is not None and self.n_jobs > 0 else 0

    def _distances(self, scores: np.ndarray) -> np.ndarray:
        values = scores.astype(np.float64)
        if self._score == "cosine":
            return np.clip(1.0 - values, 0.0, 2.0)
        return values if self.metric == "sqeuclidean" else np.sqrt(values)

    def _worst_score(self, radius: float) -> float:
        """A float32 that no row within the radius is worse than."""
        if self._score == "cosine":
            return float(np.nextafter(np.float32(1.0 - radius), np.float32(-np.inf)))
        square = radius if self.metric == "sqeuclidean" else radius * radius
        return float(np.nextafter(np.float32(square), np.float32(np.inf)))

    def _is_a_job(self, queries: int) -> bool:
        rows, columns = self._matrix.shape
        return self._matrix.is_sparse or float(queries) * rows * columns >= _JOB_FLOPS

    def _run_job(self, X: Any, top_k: int) -> Tuple[np.ndarray, np.ndarray]:
        """The top_k of the rows of X, or of the fitted rows among each other; -1 and NaN where there are fewer."""
        options: dict = dict(top_k=top_k, metric=self._score, budget=self.budget, threads=self._threads)
        self._keep_screen()
        with tempfile.TemporaryDirectory(prefix="simtile-") as folder:
            out = os.path.join(folder, "found.knn")
            if X is None:
                return self._found(join(self._matrix, out=out, **options))
            queries = _write_rows(X, os.path.join(folder, "queries.emb"), like=self._matrix)
            return self._found(search_files(self._matrix, queries, out=out, **options))

    def _found(self, neighbours: Neighbours) -> Tuple[np.ndarray, np.ndarray]:
        # A matrix that was given stays alone in its folder, which is not ours.
        if self._folder is not None and neighbours.report is not None:
            self._wants_screen = neighbours.report["screened"]
        return neighbours.to_numpy()

    def _keep_screen(self) -> None:
        """Makes the screen of the fitted rows before the second job that wants one: each makes its own anew, which is
        a good part of a search of a few thousand queries, unless it finds one beside the matrix."""
        if not self._wants_screen or os.path.exists(self._matrix.path + ".screen"):
            return
        try:
            screen(self._matrix, budget=self.budget, threads=self._threads)
        except Error:
            pass  # too small a budget or disk: jobs find their own way

    def _search(self, X: np.ndarray, top_k: int) -> Tuple[np.ndarray, np.ndarray]:
        if self._is_a_job(X.shape[0]):
            return self._run_job(X, top_k)
        return self._open_searcher().search(X, top_k, metric=self._score)

    def _open_searcher(self) -> Searcher:
        if self._searcher is None:
            self._searcher = Searcher(self._matrix, threads=self._threads)
        return self._searcher

    def kneighbors(
        self, X: Any = None, n_neighbors: Optional[int] = None, return_distance: bool = True
    ) -> Union[np.ndarray, Tuple[np.ndarray, np.ndarray]]:
        """The nearest rows of each query, nearest first; X=None: of each fitted row, itself excluded.

        Returns distances (float64) and rows (int64), (n_queries, n_neighbors) each; rows alone without return_distance.
        """
        check_is_fitted(self)
        count = self.n_neighbors if n_neighbors is None else n_neighbors
        _check_count(count)
        available = self.n_samples_fit_ - (X is None)
        if count > available:
            raise ValueError(
                f"Expected n_neighbors <= n_samples_fit, but n_neighbors = {count}, n_samples_fit = {available}"
            )
        if X is None:
            rows, scores = self._run_job(None, count)
        else:
            rows, scores = self._search(_validated(self, X, reset=False), count)
        return (self._distances(scores), rows) if return_distance else rows

    def kneighbors_graph(
        self, X: Any = None, n_neighbors: Optional[int] = None, mode: str = "connectivity"
    ) -> csr_matrix:
        """The graph of kneighbors(), (n_queries, n_samples_fit): ones, or distances with mode="distance"."""
        check_is_fitted(self)
        _check_mode(mode)
        distances, rows = self.kneighbors(X, n_neighbors)
        starts = np.arange(0, rows.size + 1, rows.shape[1])
        values = np.ones(rows.size) if mode == "connectivity" else distances.ravel()
        return csr_matrix((values, rows.ravel(), starts), shape=(len(rows), self.n_samples_fit_))

    def radius_neighbors(
        self,
        X: Any = None,
        radius: Optional[float] = None,
        return_distance: bool = True,
        sort_results: bool = False,
    ) -> Union[np.ndarray, Tuple[np.ndarray, np.ndarray]]:
        """All rows within a distance of each query, the border included; X=None: of each fitted row, itself excluded.

        Returns arrays of objects, one array of distances and one of rows for each query; nearest first with
        sort_results, else by row.
        """
        check_is_fitted(self)
        reach = float(self.radius if radius is None else radius)
        if not reach >= 0.0:
            raise ValueError(f"radius is a distance of at least 0, not {reach!r}")
        if sort_results and not return_distance:
            raise ValueError("return_distance must be True if sort_results is True.")
        queries = self._matrix if X is None else _validated(self, X, reset=False)
        total = len(queries) if isinstance(queries, Matrix) else queries.shape[0]
        distances, found = np.empty(total, dtype=object), np.empty(total, dtype=object)
        at_once = _RADIUS_QUERIES
        if self._matrix.is_sparse:  # by a job, which reads all of the base
            at_once = min(max(_RADIUS_JOB_PAIRS // self.n_samples_fit_, _RADIUS_QUERIES), _RADIUS_JOB_QUERIES)
        for begin in range(0, total, at_once):
            piece = self._decoded(queries, begin, min(begin + at_once, total))
            for at, (rows, scores) in enumerate(self._within(piece, reach), start=begin):
                near = self._distances(scores)
                held = near <= reach
                if X is None:
                    held &= rows != at
                order = np.arange(held.sum()) if sort_results else np.argsort(rows[held], kind="stable")
                distances[at], found[at] = near[held][order], rows[held][order]
        return (distances, found) if return_distance else found

    def _decoded(self, queries: Any, begin: int, end: int) -> Any:
        if isinstance(queries, Matrix) and not queries.is_sparse:
            return queries.rows(np.arange(begin, end))
        return queries[begin:end]

    def _within(self, X: Any, reach: float) -> "Iterable[Tuple[np.ndarray, np.ndarray]]":
        worst = self._worst_score(reach)
        if self._matrix.is_sparse:
            return self._within_on_disk(X, worst)
        return self._open_searcher().search_within(X, worst, metric=self._score)

    def _within_on_disk(self, X: Any, worst: float) -> "Iterator[Tuple[np.ndarray, np.ndarray]]":
        with tempfile.TemporaryDirectory(prefix="simtile-") as folder:
            found = search_files(
                self._matrix,
                _write_rows(X, os.path.join(folder, "queries.emb"), like=self._matrix),
                out=os.path.join(folder, "found.knn"),
                top_k=0,  # all that are good enough, which go to disk
                min_score=worst,
                metric=self._score,
                budget=self.budget,
                threads=self._threads,
            )
            yield from (found[row] for row in range(len(found)))

    def radius_neighbors_graph(
        self, X: Any = None, radius: Optional[float] = None, mode: str = "connectivity", sort_results: bool = False
    ) -> csr_matrix:
        """The graph of radius_neighbors(), (n_queries, n_samples_fit): ones, or distances with mode="distance"."""
        check_is_fitted(self)
        _check_mode(mode)
        distances, rows = self.radius_neighbors(X, radius, sort_results=sort_results)
        starts = np.cumsum([0] + [len(row) for row in rows])
        columns = np.concatenate(list(rows)) if len(rows) else np.empty(0, dtype=np.int64)
        values = np.ones(len(columns)) if mode == "connectivity" else np.concatenate(list(distances))
        return csr_matrix((values, columns, starts), shape=(len(rows), self.n_samples_fit_))


def _remove_folder(folder: str, owner: int) -> None:
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)


def _validated(estimator: BaseEstimator, X: Any, reset: bool) -> Any:
    options: dict = dict(accept_sparse="csr", reset=reset)
    if hasattr(estimator, "_validate_data"):
        return estimator._validate_data(X, **options)
    from sklearn.utils.validation import validate_data  # scikit-learn 1.6 and later

    return validate_data(estimator, X, **options)


def _write_rows(X: Any, path: str, like: Optional[Matrix] = None) -> Matrix:
    # Both sides of a search are dense or both sparse.
    if like is not None and like.is_sparse and not issparse(X):
        X = csr_matrix(X)
    if like is not None and not like.is_sparse and issparse(X):
        X = X.toarray()
    if issparse(X):
        return Matrix.from_scipy(X, path, durable=False)
    return Matrix.from_numpy(X, path, durable=False)


def _check_count(n_neighbors: Any) -> None:
    if isinstance(n_neighbors, bool) or not isinstance(n_neighbors, (int, np.integer)):
        raise TypeError(f"n_neighbors does not take {type(n_neighbors)} value, enter integer value")
    if n_neighbors <= 0:
        raise ValueError(f"Expected n_neighbors > 0. Got {n_neighbors}")


def _check_mode(mode: str) -> None:
    if mode not in ("connectivity", "distance"):
        raise ValueError(f"mode is 'connectivity' or 'distance', not {mode!r}")
