"""Eight processes, made by fork and by spawn, search one file: same answers, and its pages are paid for once."""

import multiprocessing
import os
import unittest

import numpy as np
import simtile
from helpers import TempFolderTest, pss_of_file, random_rows

PROCESSES = 8
ROWS, COLUMNS = 100_000, 80  # 32 MB


def _work(searcher, matrix, queries, results, barrier):
    found = searcher.search(queries, 5)[0]
    touched = float(np.asarray(matrix[:]).sum(dtype=np.float64))
    barrier.wait(timeout=120)  # all have the file mapped and touched
    shares = pss_of_file(os.getpid(), matrix.path)
    barrier.wait(timeout=120)  # nobody leaves before all have asked
    results.put((found, touched, shares))


class ProcessesTest(TempFolderTest):
    def run_processes(self, method):
        rows = random_rows(ROWS, COLUMNS)
        matrix = simtile.Matrix.from_numpy(rows, self.path("a.emb"))
        searcher = simtile.Searcher(matrix, threads=2)
        queries = rows[:50]
        expected = searcher.search(queries, 5)[0]  # the parent's threads run before the fork
        context = multiprocessing.get_context(method)
        results, barrier = context.Queue(), context.Barrier(PROCESSES)
        children = [
            context.Process(target=_work, args=(searcher, matrix, queries, results, barrier), daemon=True)
            for _ in range(PROCESSES)
        ]
        for child in children:
            child.start()
        answers = [results.get(timeout=240) for _ in children]
        for child in children:
            child.join(timeout=60)
            self.assertEqual(child.exitcode, 0)
        for found, touched, _ in answers:
            np.testing.assert_array_equal(found, expected)
            self.assertEqual(touched, answers[0][1])
        # The parent maps the file too, so that the children's shares are a little less than the whole.
        total, file_bytes = sum(share for _, _, share in answers), matrix.info["file_bytes"]
        self.assertLess(total, 1.02 * file_bytes)
        self.assertGreater(total, 0.8 * file_bytes)

    def test_fork(self):
        self.run_processes("fork")

    def test_spawn(self):
        self.run_processes("spawn")

    def test_join_in_a_forked_child(self):
        matrix = simtile.Matrix.from_numpy(random_rows(3000, 32), self.path("a.emb"))
        expected = simtile.join(matrix, out=self.path("parent.knn"), budget="2GiB").report["output_xxh3"]
        with multiprocessing.get_context("fork").Pool(1) as pool:
            found = pool.apply_async(_join, (matrix, self.path("child.knn"))).get(timeout=120)
        self.assertEqual(found, expected)


def _join(matrix, out):
    return simtile.join(matrix, out=out, budget="2GiB").report["output_xxh3"]


if __name__ == "__main__":
    unittest.main()
