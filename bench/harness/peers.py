"""Other ways to the same answer. Run as a program, in a fresh process for each measurement:

    peers.py '{"peer": "faiss", "base": {info}, "queries": {info} or null, "top_k": 10, ...}'

prints one JSON object. Only the search is timed: not the imports, nor loading the rows, nor an index's build (a flat
index's is a copy of the rows).
"""

import importlib
import json
import os
import re
import resource
import sys
import time

import numpy as np

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness.files import matrix_view  # noqa: E402

BLOCK_ROWS = 256


def blas_in_use():
    """The BLAS libraries that this process has loaded."""
    with open("/proc/self/maps") as maps:
        paths = {os.path.realpath(line.split()[-1]) for line in maps}
    return sorted(path for path in paths if re.match("lib.*(blas|blis|mkl|atlas)", os.path.basename(path)))


def unit_rows(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def best_of_block(similarity, first_row, k, self_join):
    """The k best of each row of a block of similarities, best first."""
    if self_join:
        own = np.arange(len(similarity))
        similarity[own, first_row + own] = -np.inf
    best = np.argpartition(similarity, -k, axis=1)[:, -k:]
    scores = np.take_along_axis(similarity, best, axis=1)
    order = np.argsort(-scores, axis=1)
    return np.take_along_axis(best, order, axis=1), np.take_along_axis(scores, order, axis=1)


def in_blocks(queries, k, self_join, similarity_of, block_rows=BLOCK_ROWS):
    parts = [best_of_block(similarity_of(queries[i:i + block_rows]), i, k, self_join)
             for i in range(0, len(queries), block_rows)]
    return np.concatenate([ids for ids, _ in parts]), np.concatenate([scores for _, scores in parts])


def drop_self(ids, scores, k):
    """From k + 1 neighbours of rows 0, 1, ...: without the row itself, or without the last where it is not there."""
    keep = ids != np.arange(len(ids))[:, None]
    keep[keep.all(axis=1), -1] = False
    return ids[keep].reshape(-1, k), scores[keep].reshape(-1, k)


def numpy_peer(base, queries, k, metric, self_join, threads):
    if metric == "cosine":
        base = unit_rows(base)
        queries = unit_rows(queries)
    if metric != "l2":
        return in_blocks(queries, k, self_join, lambda block: block @ base.T)
    squares = np.einsum("ij,ij->i", base, base)
    ids, scores = in_blocks(queries, k, self_join, lambda block: 2 * (block @ base.T) - squares)
    return ids, np.einsum("ij,ij->i", queries, queries)[:, None] - scores


def sklearn_cosine_peer(base, queries, k, metric, self_join, threads):
    from sklearn.metrics.pairwise import cosine_similarity
    # Each call scales all of base to norm one again, so blocks are larger here.
    return in_blocks(queries, k, self_join, lambda block: cosine_similarity(block, base), 4 * BLOCK_ROWS)


def sklearn_neighbors_peer(base, queries, k, metric, self_join, threads):
    from sklearn.neighbors import NearestNeighbors
    index = NearestNeighbors(n_neighbors=k + self_join, algorithm="brute", metric=metric).fit(base)
    distances, ids = index.kneighbors(queries)
    scores = 1.0 - distances
    return drop_self(ids, scores, k) if self_join else (ids, scores)


class FaissPeer:
    """A class, so that the build of the index stays outside of the timed call."""

    def __init__(self, base, metric, threads):
        import faiss
        faiss.omp_set_num_threads(threads)
        self.faiss = faiss
        self.unit = metric == "cosine"
        base = unit_rows(base) if self.unit else base
        self.index = faiss.IndexFlatL2(base.shape[1]) if metric == "l2" else faiss.IndexFlatIP(base.shape[1])
        self.index.add(base)

    def __call__(self, base, queries, k, metric, self_join, threads):
        scores, ids = self.index.search(unit_rows(queries) if self.unit else queries, k + self_join)
        return drop_self(ids, scores, k) if self_join else (ids, scores)


class HnswlibPeer:
    """hnswlib's brute force."""

    def __init__(self, base, metric, threads):
        import hnswlib
        self.index = hnswlib.BFIndex(space=metric, dim=base.shape[1])
        self.index.init_index(max_elements=len(base))
        self.index.add_items(base)

    def __call__(self, base, queries, k, metric, self_join, threads):
        ids, distances = self.index.knn_query(queries, k=k + self_join)
        ids = ids.astype(np.int64)
        scores = distances if metric == "l2" else 1.0 - distances
        return drop_self(ids, scores, k) if self_join else (ids, scores)


PEERS = {
    "faiss": FaissPeer,
    "numpy": lambda *_: numpy_peer,
    "sklearn-cosine": lambda *_: sklearn_cosine_peer,
    "sklearn-neighbors": lambda *_: sklearn_neighbors_peer,
    "hnswlib": HnswlibPeer,
}


def probe():
    """Which peers there are, their versions, and the BLAS that they stand on."""
    versions = {}
    for module in ("numpy", "faiss", "sklearn", "hnswlib"):
        try:
            versions[module] = getattr(importlib.import_module(module), "__version__", "present")
        except ImportError:
            pass
    return {"versions": versions, "blas": blas_in_use()}


def measure(task):
    base = np.ascontiguousarray(matrix_view(task["base"]))
    self_join = task["queries"] is None
    queries = (base if self_join else np.ascontiguousarray(matrix_view(task["queries"])))[:task["query_rows"]]
    arguments = (base, queries, task["top_k"], task["metric"], self_join, task["threads"])
    search = PEERS[task["peer"]](base, task["metric"], task["threads"])
    # A first small search brings up imports, threads and buffers.
    search(base, queries[:64], *arguments[2:])
    start, cpu_start = time.monotonic(), time.process_time()
    ids, scores = search(*arguments)
    seconds, cpu_seconds = time.monotonic() - start, time.process_time() - cpu_start
    samples = task["sample_rows"]
    return {
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "peak_rss_bytes": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        "blas": blas_in_use(),
        "sample_ids": ids[samples].tolist(),
        "sample_scores": scores[samples].astype(float).tolist(),
    }


if __name__ == "__main__":
    task = json.loads(sys.argv[1])
    print(json.dumps(probe() if task["peer"] == "probe" else measure(task)))
