import os
import pickle
import subprocess
import sys
import threading
import time
import unittest

import numpy as np
import scipy.sparse
import simtile
from helpers import TempFolderTest, best_rows, definition, random_rows


class JoinTest(TempFolderTest):
    def setUp(self):
        super().setUp()
        self.rows = random_rows(2000, 24)
        self.matrix = simtile.Matrix.from_numpy(self.rows, self.path("a.emb"), ids=[f"s{i}" for i in range(2000)])

    def join(self, **options):
        return simtile.join(self.matrix, **{"out": self.path("a.knn"), "budget": "2GiB", **options})

    def test_neighbours_are_the_definitions(self):
        for metric in ("cosine", "ip", "l2"):
            nn = self.join(top_k=7, metric=metric)
            self.assertEqual((nn.shape, nn.info["metric"], nn.info["self_join"]), ((2000, 7), metric, True))
            for row in (0, 42, 1999):
                rows, scores = nn[row]
                self.assertEqual(list(rows), best_rows(self.rows, self.rows[row], metric, 7, exclude=row))
                expected = definition(self.rows[rows], self.rows[row], metric)
                np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-6)
        self.assertEqual((nn.find("s42"), nn.query_id(42), nn.base_id(7)), (42, "s42", "s7"))
        np.testing.assert_array_equal(nn[-1][0], nn[1999][0])
        self.assertRaises(IndexError, lambda: nn[2000])
        self.assertRaises(IndexError, lambda: nn[::2])

    def test_arrays_and_graph(self):
        nn = self.join(top_k=5, metric="ip", min_score=8.0)
        rows, scores = nn.to_numpy()
        self.assertEqual((rows.dtype, scores.dtype, rows.shape), (np.int64, np.float32, (2000, 5)))
        np.testing.assert_array_equal(rows < 0, np.isnan(scores))
        self.assertTrue((rows < 0).any() and (rows >= 0).any())
        graph = nn.to_csr()
        self.assertEqual((graph.shape, graph.nnz), ((2000, 2000), np.count_nonzero(rows >= 0)))
        for row in (0, 3, 77):
            found, found_scores = nn[row]
            np.testing.assert_array_equal(np.sort(found), graph[row].indices)
            np.testing.assert_array_equal(graph[row].toarray()[0, found], found_scores)
        self.assertEqual(set(nn.to_csr(mode="connectivity").data), {1.0})
        self.assertEqual(sum(len(found) for found, _ in nn), graph.nnz)
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(nn))[:][0], rows)

    def test_all_pairs(self):
        nn = self.join(top_k=0, metric="ip", min_score=8.0)
        self.assertEqual((nn.shape, len(nn)), ((2000, 0), 2000))
        graph = nn.to_csr()
        self.assertEqual(graph.nnz, nn.info["entries"])
        self.assertEqual(sum(len(found) for found, _ in nn), graph.nnz)
        lengths = set()
        for row in (0, 3, 77, 1999):
            rows, scores = nn[row]
            expected = definition(self.rows, self.rows[row], "ip")
            expected[row] = -np.inf
            self.assertEqual(sorted(rows), list(np.flatnonzero(expected >= 8.0)))
            np.testing.assert_allclose(scores, expected[rows], rtol=1e-5)
            self.assertTrue((np.diff(scores) <= 0).all())
            np.testing.assert_array_equal(nn.row(row)[0], rows)
            np.testing.assert_array_equal(graph[row].indices, np.sort(rows))
            lengths.add(len(rows))
        self.assertGreater(len(lengths), 1)
        starts, rows, scores = nn.to_pairs()
        np.testing.assert_array_equal(rows[starts[77] : starts[78]], nn[77][0])
        np.testing.assert_array_equal(scores[starts[77] : starts[78]], nn[77][1])
        self.assertIn("pairs", repr(nn))
        self.assertRaises(IndexError, lambda: nn[2000])
        self.assertRaises(simtile.InvalidArgumentError, nn.to_numpy)
        self.assertEqual(self.join(top_k=0, min_score=2.0).to_csr().nnz, 0)

    def test_sparse_join(self):
        x = scipy.sparse.random(300, 800, density=0.05, format="csr", dtype=np.float32, random_state=3)
        m = simtile.Matrix.from_scipy(x, self.path("s.emb"))
        nn = simtile.join(m, top_k=3, out=self.path("s.knn"), budget="2GiB")
        self.assertEqual(list(nn[11][0]), best_rows(x.toarray(), x[11].toarray()[0], "cosine", 3, exclude=11))
        self.assertRaises(simtile.InvalidArgumentError, simtile.Searcher, m)

    def test_search_of_files_and_plan(self):
        queries = simtile.Matrix.from_numpy(random_rows(100, 24, seed=5), self.path("q.emb"))
        nn = simtile.search(self.matrix, queries, top_k=4, out=self.path("q.knn"), budget="2GiB")
        self.assertEqual(list(nn[9][0]), best_rows(self.rows, queries[9], "cosine", 4))
        plan = simtile.plan(self.matrix, queries, top_k=4)
        self.assertEqual((plan["query_rows"], plan["rows"]), (100, 2000))
        self.assertGreater(nn.report["seconds"], 0)
        self.assertLessEqual(nn.report["peak_rss_bytes"], nn.report["budget_bytes"])

    def test_progress_is_a_callback_or_a_bar(self):
        calls = []
        thread = threading.get_ident()
        self.join(progress=lambda done, total: calls.append((done, total, threading.get_ident())))
        self.assertEqual(calls[-1], (2000, 2000, thread))

        class Bar:
            n, total = 0, None

            def update(self, more):
                self.n += more

        bar = Bar()
        self.join(progress=bar)
        self.assertEqual((bar.n, bar.total), (2000, 2000))

    def test_errors(self):
        with self.assertRaisesRegex(simtile.BudgetTooSmallError, "smallest"):
            self.join(budget="1MiB")
        self.assertRaises(simtile.BudgetTooSmallError, self.join, budget=0)
        self.assertRaises(simtile.InvalidArgumentError, self.join, metric="hamming")
        self.assertRaises(simtile.InvalidArgumentError, self.join, budget="much")
        self.assertRaises(simtile.InvalidArgumentError, self.join, top_k=0)
        self.assertRaises(TypeError, self.join, top_n=3)
        for option, value in (
            ("threads", -1),
            ("threads", 2**32),
            ("threads", 1.5),
            ("top_k", None),
            ("top_k", -1),
            ("top_k", 2.0),
            ("min_score", "high"),
            ("metric", None),
            ("screen", None),
            ("checkpoint_seconds", "often"),
            ("budget", -5),
            ("budget", 1.5),
        ):
            with self.assertRaisesRegex(simtile.InvalidArgumentError, option):
                self.join(**{option: value})
            if option != "checkpoint_seconds":
                with self.assertRaisesRegex(simtile.InvalidArgumentError, option):
                    simtile.plan(self.matrix, **{option: value})
        self.assertEqual(self.join(top_k=np.int64(3), threads=np.uint8(1)).shape, (2000, 3))
        self.assertRaises(simtile.InvalidArgumentError, simtile.screen, self.matrix, threads=-1)
        nn = self.join(top_k=3)
        for call in (nn.query_id, nn.base_id, nn.row):
            for row in (-1, 1.0, "1", 2000):
                self.assertRaises(simtile.InvalidArgumentError, call, row)
        for row in (1.5, None, "1"):
            self.assertRaises(IndexError, nn.__getitem__, row)
        self.assertRaises(simtile.IoError, simtile.join, self.path("no.emb"), out=self.path("no.knn"))


class StoppedJoinTest(TempFolderTest):
    def test_an_exception_of_the_callback_stops_and_the_same_call_goes_on(self):
        rows = random_rows(12000, 96)
        m = simtile.Matrix.from_numpy(rows, self.path("a.emb"))
        options = dict(top_k=5, budget="2GiB", threads=1, checkpoint_seconds=0, screen="off")

        def stop(done, total):
            if done > 0:
                raise LookupError("enough")

        with self.assertRaisesRegex(LookupError, "enough"):
            simtile.join(m, out=self.path("a.knn"), progress=stop, **options)
        self.assertFalse(os.path.exists(self.path("a.knn")))
        resumed = simtile.join(m, out=self.path("a.knn"), **options)
        self.assertGreater(resumed.report["tiles_resumed"], 0)
        whole = simtile.join(m, out=self.path("b.knn"), top_k=5, budget="2GiB")
        self.assertEqual(resumed.report["output_xxh3"], whole.report["output_xxh3"])

    def test_ctrl_c_is_a_keyboard_interrupt_and_the_same_call_goes_on(self):
        simtile.Matrix.from_numpy(random_rows(24000, 256), self.path("a.emb"))
        program = """
import sys, simtile
try:
    simtile.join(sys.argv[1], out=sys.argv[2], top_k=5, budget="2GiB", threads=1, checkpoint_seconds=0, screen="off",
                 progress=lambda done, total: print(done, flush=True))
except KeyboardInterrupt:
    sys.exit(77)
"""
        child = subprocess.Popen(
            [sys.executable, "-c", program, self.path("a.emb"), self.path("a.knn")], stdout=subprocess.PIPE, text=True
        )
        while int(child.stdout.readline()) == 0:
            pass
        child.send_signal(2)
        child.stdout.read()
        child.stdout.close()
        self.assertEqual(child.wait(), 77)
        self.assertTrue(os.path.isdir(self.path("a.knn.work")))
        nn = simtile.join(self.path("a.emb"), out=self.path("a.knn"), top_k=5, budget="2GiB", screen="off")
        self.assertGreater(nn.report["tiles_resumed"], 0)
        self.assertFalse(os.path.exists(self.path("a.knn.work")))


class SearcherTest(TempFolderTest):
    def setUp(self):
        super().setUp()
        self.rows = random_rows(3000, 40)
        self.matrix = simtile.Matrix.from_numpy(self.rows, self.path("a.emb"))
        self.searcher = simtile.Searcher(self.matrix)

    def test_one_query_and_many_have_the_jobs_bits(self):
        queries = random_rows(200, 40, seed=9)
        files = simtile.Matrix.from_numpy(queries, self.path("q.emb"))
        for metric in ("cosine", "ip", "l2"):
            rows, scores = self.searcher.search(queries, 6, metric=metric)
            expected = simtile.search(self.matrix, files, metric=metric, top_k=6, out=self.path("q.knn"), budget="2GiB")
            np.testing.assert_array_equal(rows, expected.to_numpy()[0])
            np.testing.assert_array_equal(scores, expected.to_numpy()[1])
            one_rows, one_scores = self.searcher.search(queries[17].astype(np.float64), 6, metric=metric)
            np.testing.assert_array_equal(one_rows, rows[17])
            np.testing.assert_array_equal(one_scores, scores[17])

    def test_options(self):
        rows, scores = self.searcher.search(self.rows[5], 3, exclude=[5])
        self.assertEqual(list(rows), best_rows(self.rows, self.rows[5], "cosine", 3, exclude=5))
        rows, scores = self.searcher.search(self.rows[5], 10, min_score=0.999)
        self.assertEqual((list(rows), np.isnan(scores).sum()), ([5] + [-1] * 9, 9))
        rows, _ = self.searcher.search(self.rows[:2], 3500)
        self.assertEqual((rows >= 0).sum(axis=1).tolist(), [3000, 3000])
        within = self.searcher.search_within(self.rows[:3], 30.0, metric="l2")
        for query, (rows, scores) in enumerate(within):
            expected = definition(self.rows, self.rows[query], "l2")
            self.assertEqual(sorted(rows), list(np.flatnonzero(expected <= 30.0)))
            self.assertTrue((np.diff(scores) >= 0).all())
        self.assertEqual(len(within), 3)

    def test_no_queries_have_no_answers(self):
        none = np.empty((0, 40), dtype=np.float32)
        self.assertEqual(self.searcher.search_within(none, 0.5), [])
        rows, scores = self.searcher.search(none, 7)
        self.assertEqual((rows.shape, scores.shape), ((0, 7), (0, 7)))

    def test_threads_search_at_once(self):
        expected = self.searcher.search(self.rows[:64], 5)
        wrong = []

        def work():
            for _ in range(10):
                rows, scores = self.searcher.search(self.rows[:64], 5)
                if not (np.array_equal(rows, expected[0]) and np.array_equal(scores, expected[1])):
                    wrong.append(rows)

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])

    def test_the_lock_is_free_while_searching(self):
        big = simtile.Matrix.from_numpy(random_rows(100000, 64), self.path("big.emb"))
        searcher = simtile.Searcher(big, threads=1)
        queries = random_rows(2000, 64, seed=2)
        thread = threading.Thread(target=lambda: searcher.search(queries, 10))
        thread.start()
        steps = 0
        while thread.is_alive():
            steps += 1
            time.sleep(0)
        # With the lock held, one step would last as long as the search.
        self.assertGreater(steps, 50)

    def test_errors_and_reload(self):
        bad = self.rows[0].copy()
        bad[3] = np.nan
        for q in (bad, self.rows[0, :39], self.rows[None, :2]):
            self.assertRaises(simtile.InvalidArgumentError, self.searcher.search, q, 3)
        for top_k in (0, -1, None, 2.5):
            with self.assertRaisesRegex(simtile.InvalidArgumentError, "top_k"):
                self.searcher.search(self.rows[0], top_k)
        for search in (self.searcher.search, self.searcher.search_within):
            with self.assertRaisesRegex(simtile.InvalidArgumentError, "min_score"):
                search(self.rows[:1], min_score="high")
            with self.assertRaisesRegex(simtile.InvalidArgumentError, "metric"):
                search(self.rows[:1], min_score=0.5, metric=None)
        for exclude in ([1.5], [-1], [True]):
            with self.assertRaisesRegex(simtile.InvalidArgumentError, "exclude"):
                self.searcher.search(self.rows[0], 3, exclude=exclude)
        for option in ({"threads": -1}, {"check": None}, {"isa": 3}):
            self.assertRaises(simtile.InvalidArgumentError, simtile.Searcher, self.matrix, **option)
        self.assertRaises(simtile.InvalidArgumentError, self.searcher.search, self.rows[0], 3, metric="hamming")
        simtile.Matrix.from_numpy(self.rows[::-1], self.path("a.emb"))
        self.assertEqual(self.searcher.search(self.rows[0], 1)[0][0], 0)
        self.assertTrue(self.searcher.reload())
        self.assertEqual(self.searcher.search(self.rows[0], 1)[0][0], 2999)
        again = pickle.loads(pickle.dumps(self.searcher))
        self.assertEqual(again.search(self.rows[0], 1)[0][0], 2999)


if __name__ == "__main__":
    unittest.main()
