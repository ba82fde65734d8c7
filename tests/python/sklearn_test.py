import copy
import functools
import gc
import os
import pickle
import tempfile
import unittest
import unittest.mock
import warnings

import numpy as np
import scipy.sparse
import simtile
import sklearn.neighbors
from helpers import TempFolderTest, random_rows
from simtile.sklearn import NearestNeighbors
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.utils.estimator_checks import check_estimator


def classify(neighbors_class, train, labels, test):
    """Code as people write it for scikit-learn: it must not know whose class it is given."""
    neighbors = neighbors_class(n_neighbors=3, algorithm="brute", metric="euclidean").fit(train)
    votes = labels[neighbors.kneighbors(test, return_distance=False)]
    return np.array([np.bincount(vote).argmax() for vote in votes])


def outliers(neighbors_class, points, reach):
    neighbors = neighbors_class(radius=reach).fit(points)
    degree = np.asarray(neighbors.radius_neighbors_graph(points).sum(axis=1)).ravel()
    return np.flatnonzero(degree <= 3)


def two_hops(neighbors_class, points):
    graph = neighbors_class(n_neighbors=4, metric="cosine").fit(points).kneighbors_graph(mode="connectivity")
    return (graph @ graph > 0).astype(int)


class NearestNeighborsTest(TempFolderTest):
    def test_scikit_learns_own_checks(self):
        checks = list(check_estimator(NearestNeighbors(), generate_only=True))
        self.assertGreater(len(checks), 25)
        for estimator, check in checks:
            with self.subTest(str(check)), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                check(estimator)

    def test_code_written_for_scikit_learn(self):
        digits = load_digits()
        data = digits.data + 1e-3 * random_rows(*digits.data.shape)  # whole numbers have ties
        train, test = data[:1200], data[1200:]
        ours, theirs = NearestNeighbors, sklearn.neighbors.NearestNeighbors
        np.testing.assert_array_equal(
            classify(ours, train, digits.target[:1200], test), classify(theirs, train, digits.target[:1200], test)
        )
        np.testing.assert_array_equal(outliers(ours, train, 22.0), outliers(theirs, train, 22.0))
        points = random_rows(300, 12).astype(np.float64)
        self.assertEqual(abs(two_hops(ours, points) - two_hops(theirs, points)).nnz, 0)

    def assert_alike(self, X, queries, ties=False, **parameters):
        ours = NearestNeighbors(**parameters).fit(X)
        theirs = sklearn.neighbors.NearestNeighbors(algorithm="brute", **parameters).fit(X)
        for q in (queries, None):
            distances, rows = ours.kneighbors(q)
            expected_distances, expected_rows = theirs.kneighbors(q)
            self.assertEqual((rows.dtype, distances.dtype), (expected_rows.dtype, np.float64))
            if ties:  # the smaller row first, which scikit-learn does not promise: each must be as far as it says
                points = (X if q is None else q).astype(np.float64)
                far = np.linalg.norm(points[:, None, :] - X[rows].astype(np.float64), axis=2)
                np.testing.assert_allclose(far, expected_distances, rtol=1e-5)
                self.assertTrue(((np.diff(distances) > 0) | (np.diff(rows) > 0)).all())
            else:
                np.testing.assert_array_equal(rows, expected_rows)
            np.testing.assert_allclose(distances, expected_distances, rtol=1e-5, atol=3e-4)
            if ties:
                continue
            graph, expected = ours.kneighbors_graph(q, mode="distance"), theirs.kneighbors_graph(q, mode="distance")
            np.testing.assert_allclose(graph.toarray(), expected.toarray(), rtol=1e-5, atol=3e-4)
            distances, rows = ours.radius_neighbors(q, sort_results=True)
            expected_distances, expected_rows = theirs.radius_neighbors(q, sort_results=True)
            for at in range(len(rows)):
                np.testing.assert_array_equal(rows[at], expected_rows[at])
                np.testing.assert_allclose(distances[at], expected_distances[at], rtol=1e-5, atol=3e-4)
            counts = [len(row) for row in ours.radius_neighbors(q, return_distance=False)]
            self.assertGreater(max(counts), 1)
            self.assertEqual(counts, [len(row) for row in expected_rows])
            self.assertEqual(ours.radius_neighbors_graph(q).nnz, sum(counts))

    def test_metrics(self):
        X, queries = random_rows(500, 10), random_rows(70, 10, seed=2)
        self.assert_alike(X, queries, radius=2.5)
        self.assert_alike(X, queries, metric="cosine", radius=0.4)
        self.assert_alike(X, queries, metric="sqeuclidean", radius=6.0)
        pixels = np.round(X * 30 + 128).clip(0, 255).astype(np.uint8)
        self.assert_alike(pixels, np.round(queries * 30 + 128), ties=True)

    def test_sparse(self):
        X = scipy.sparse.random(300, 60, density=0.2, format="csr", random_state=1)
        queries = scipy.sparse.random(40, 60, density=0.2, format="csr", random_state=2)
        self.assert_alike(X, queries, metric="cosine", radius=0.6)
        self.assert_alike(X, queries, radius=2.2)
        with unittest.mock.patch.multiple("simtile.sklearn", _RADIUS_QUERIES=16, _RADIUS_JOB_QUERIES=16):
            self.assert_alike(X, queries, metric="cosine", radius=0.6)

    def test_a_job_and_a_search_give_the_same(self):
        X, queries = random_rows(2000, 64), random_rows(300, 64, seed=2)
        fitted = NearestNeighbors(n_neighbors=9).fit(X)
        searched = fitted.kneighbors(queries)
        distances, rows = fitted._run_job(queries, 9)[::-1]
        np.testing.assert_array_equal(rows, searched[1])
        np.testing.assert_array_equal(fitted._distances(distances), searched[0])

    def test_the_screen_that_jobs_want_is_made_once_and_beside_our_own_file_alone(self):
        X, queries = random_rows(2000, 64), random_rows(300, 64, seed=2)
        given = simtile.Matrix.from_numpy(X, self.path("given.emb"))
        with unittest.mock.patch("simtile.sklearn.search_files", functools.partial(simtile.search, screen="on")):
            for fitted, kept in ((NearestNeighbors().fit(X), True), (NearestNeighbors().fit(given), False)):
                path = fitted._matrix.path + ".screen"
                first = fitted._run_job(queries, 9)
                self.assertFalse(os.path.exists(path))
                for _ in range(2):
                    np.testing.assert_array_equal(fitted._run_job(queries, 9), first)
                    self.assertEqual(os.path.exists(path), kept)
        fitted = NearestNeighbors().fit(X)
        fitted._run_job(queries, 9)
        fitted._run_job(queries, 9)
        self.assertFalse(os.path.exists(fitted._matrix.path + ".screen"))  # these jobs wanted none

    def test_a_matrix_is_used_where_it_lies(self):
        X = random_rows(500, 10)
        matrix = simtile.Matrix.from_numpy(X, self.path("a.emb"))
        for fitted in (NearestNeighbors().fit(matrix), NearestNeighbors().fit(self.path("a.emb"))):
            np.testing.assert_array_equal(fitted.kneighbors(X[:9])[1], NearestNeighbors().fit(X).kneighbors(X[:9])[1])
        again = pickle.loads(pickle.dumps(fitted))
        self.assertEqual(again._matrix.path, matrix.path)

    def test_copies_stand_alone_and_files_go(self):
        X = random_rows(500, 10)
        fitted = NearestNeighbors().fit(X)
        expected = fitted.kneighbors(X)
        path = fitted._matrix.path
        self.assertTrue(path.startswith(tempfile.gettempdir()))
        copies = [pickle.loads(pickle.dumps(fitted)), copy.deepcopy(fitted)]
        del fitted
        gc.collect()
        self.assertFalse(os.path.exists(path))
        for one in copies:
            np.testing.assert_array_equal(one.kneighbors(X)[1], expected[1])
        self.assertFalse(hasattr(clone(copies[0]), "_matrix"))

    def test_refusals(self):
        X = random_rows(20, 3)
        for parameters in (
            {"metric": "manhattan"},
            {"p": 1},
            {"algorithm": "annoy"},
            {"n_neighbors": 0},
            {"metric_params": {"w": 1}},
        ):
            with self.assertRaises(ValueError, msg=parameters):
                NearestNeighbors(**parameters).fit(X)
        fitted = NearestNeighbors().fit(X)
        for wrong in (
            lambda: fitted.kneighbors(X, 21),
            lambda: fitted.kneighbors(None, 20),
            lambda: fitted.kneighbors(X[:, :2]),
            lambda: fitted.radius_neighbors(X, -1.0),
            lambda: fitted.kneighbors_graph(X, mode="distances"),
        ):
            self.assertRaises(ValueError, wrong)


if __name__ == "__main__":
    unittest.main()
