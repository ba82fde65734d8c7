import os
import pickle
import unittest

import numpy as np
import scipy.sparse
import simtile
from helpers import TempFolderTest, address_of, mapping_of, random_rows, rss_bytes


class MatrixTest(TempFolderTest):
    def test_arrays_come_back_to_the_bit(self):
        rows = random_rows(300, 20)
        for array, element_type in (
            (rows, "f32"),
            (rows.astype(np.float16), "f16"),
            (np.clip(rows * 40 + 128, 0, 255).astype(np.uint8), "u8"),
            (np.clip(rows * 40, -127, 127).astype(np.int8), "i8"),
            (np.asfortranarray(rows), "f32"),
            (rows[::3, ::2], "f32"),
        ):
            m = simtile.Matrix.from_numpy(array, self.path("a.emb"))
            self.assertEqual((m.shape, m.element_type), (array.shape, element_type))
            np.testing.assert_array_equal(m[:], array)
            np.testing.assert_array_equal(m.rows(range(len(m))), array.astype(np.float32))
            np.testing.assert_array_equal(np.asarray(m), array)

    def test_other_numbers_become_float32(self):
        for array in (random_rows(9, 3).astype(np.float64), np.arange(12).reshape(4, 3), np.eye(3, dtype=bool)):
            m = simtile.Matrix.from_numpy(array, self.path("a.emb"))
            self.assertEqual(m.dtype, np.float32)
            np.testing.assert_array_equal(m[:], array.astype(np.float32))

    def test_stored_as_asked(self):
        rows = random_rows(50, 8)
        m = simtile.Matrix.from_numpy(rows, self.path("a.emb"), dtype="bf16")
        self.assertEqual((m.element_type, m.dtype), ("bf16", np.float32))
        np.testing.assert_allclose(m[10:20], rows[10:20], rtol=2**-8)
        self.assertEqual(m[3].shape, (8,))
        np.testing.assert_array_equal(m[3:9, :2], m[3:9][:, :2])
        unit = simtile.Matrix.from_numpy(rows, self.path("u.emb"), normalize=True)
        np.testing.assert_allclose(np.linalg.norm(unit[:], axis=1), 1, rtol=1e-6)

    def test_slices_share_the_mapping(self):
        rows = random_rows(20000, 64)
        m = simtile.Matrix.from_numpy(rows, self.path("a.emb"))
        view = m[10:20]
        self.assertTrue(np.shares_memory(view, m[15]))
        self.assertIn(m.path, mapping_of(address_of(view)))
        self.assertEqual(address_of(m[11]) - address_of(view), view.strides[0])
        self.assertFalse(view.flags.writeable or view.flags.owndata)
        with self.assertRaises(ValueError):
            view[0, 0] = 1
        with self.assertRaises(ValueError):
            view.flags.writeable = True
        before = rss_bytes()
        views = [m[i : i + 10000] for i in range(1000)]
        self.assertLess(rss_bytes() - before, 1 << 20)  # a copy of one of them is 2.4 MiB
        del views

    def test_a_view_outlives_its_matrix_and_file(self):
        rows = random_rows(5000, 16)
        m = simtile.Matrix.from_numpy(rows, self.path("a.emb"))
        view = m[100:200]
        simtile.Matrix.from_numpy(-rows, self.path("a.emb"))
        self.assertTrue(m.reload())
        np.testing.assert_array_equal(m[100:200], -rows[100:200])
        self.assertEqual(m.generation, 2)
        self.assertFalse(m.reload())
        del m
        os.unlink(self.path("a.emb"))
        np.testing.assert_array_equal(view, rows[100:200])

    def test_ids(self):
        rows = random_rows(5, 3)
        m = simtile.Matrix.from_numpy(rows, self.path("a.emb"), ids=["red", "grün", "blue", "red", "white"])
        self.assertEqual((m.find("grün"), m.find("red"), m.find("black"), m.id(2)), (1, 0, None, "blue"))
        m = simtile.Matrix.from_numpy(rows, self.path("a.emb"), ids=np.array([7, 5, 2**64 - 1, 0, 1], dtype=np.uint64))
        self.assertEqual((m.find(2**64 - 1), m.find(0), m.id(0)), (2, 3, "7"))
        for ids in ([2**64 - 1, 5, 0, 2**63, 1], [np.uint64(2**64 - 1), np.int64(5), 0, 2**63, True + 0]):
            m = simtile.Matrix.from_numpy(rows, self.path("a.emb"), ids=ids)
            self.assertEqual((m.info["ids"], m.id(0)), ("u64", str(2**64 - 1)))
            self.assertEqual([m.find(i) for i in ids], [0, 1, 2, 3, 4])
        m = simtile.Matrix.from_numpy(rows, self.path("a.emb"), ids=np.array(["a", "b", "c", "d", "e"]))
        self.assertEqual(m.find("d"), 3)
        for ids in (
            ["a"] * 4,
            [1, "b", 2, 3, 4],
            [-1, 0, 1, 2, 3],
            [-1, 2**63, 1, 2, 3],
            [2**64, 0, 1, 2, 3],
            [1.0, 2, 3, 4, 5],
            [True] * 5,
            [None] * 5,
            np.zeros((5, 1), dtype=int),
        ):
            with self.assertRaises(simtile.InvalidArgumentError):
                simtile.Matrix.from_numpy(rows, self.path("b.emb"), ids=ids)
        with self.assertRaisesRegex(simtile.CorruptError, "the id of row 1 is empty"):
            simtile.Matrix.from_numpy(rows, self.path("b.emb"), ids=["a", "", "c", "d", "e"])
        self.assertFalse(os.path.exists(self.path("b.emb")))

    def test_sparse(self):
        x = scipy.sparse.random(400, 5000, density=0.01, format="coo", dtype=np.float64, random_state=1)
        m = simtile.Matrix.from_scipy(x, self.path("s.emb"))
        self.assertTrue(m.is_sparse)
        self.assertEqual(m.info["nonzeros"], x.nnz)
        expected = x.tocsr().astype(np.float32)
        self.assertEqual(abs(m[10:50] - expected[10:50]).nnz, 0)
        np.testing.assert_array_equal(m.rows([3, 3, 399]), expected[[3, 3, 399]].toarray())
        twice = scipy.sparse.csr_matrix(([1.0, 2.0, 4.0], [5, 1, 5], [0, 3]), shape=(1, 9))
        np.testing.assert_array_equal(
            simtile.Matrix.from_scipy(twice, self.path("t.emb")).rows([0]), [[0, 2, 0, 0, 0, 5, 0, 0, 0]]
        )
        with self.assertRaises(IndexError):
            m[0:2, 3]

    def test_sparse_rows_are_never_dense(self):
        columns = 2**31 - 1
        x = scipy.sparse.random(3000, 1000, density=0.01, format="csr", dtype=np.float32, random_state=1)
        wide = scipy.sparse.csr_matrix((x.data, x.indices * (columns // 1000), x.indptr), shape=(3000, columns))
        m = simtile.Matrix.from_scipy(wide, self.path("w.emb"))
        for key in (slice(None), slice(5, 2000, 7), [7, 3, 3], np.arange(3000) % 2 == 0, slice(9, 9)):
            found, expected = m[key], wide[key]
            self.assertEqual((found.shape, found.dtype), (expected.shape, np.float32))
            self.assertEqual(abs(found - expected).nnz, 0)
            self.assertTrue(found.has_canonical_format)
        self.assertEqual(m[2999].shape, (1, columns))
        with open(m.path, "r+b") as file:
            file.seek(4096 + 64)
            file.write(b"\xff")
        with self.assertRaises(simtile.CorruptError):
            simtile.Matrix(m.path)[:]

    def test_refusals_name_the_place_and_leave_the_old_file(self):
        rows = random_rows(5000, 300)
        m = simtile.Matrix.from_numpy(rows, self.path("a.emb"))
        rows[4321, 17] = np.nan
        with self.assertRaisesRegex(simtile.CorruptError, "row 4321, column 17"):
            simtile.Matrix.from_numpy(rows, self.path("a.emb"))
        with self.assertRaisesRegex(simtile.CorruptError, "row 1, column 0"):
            simtile.Matrix.from_numpy(np.array([[1.0], [1e300]]), self.path("a.emb"))
        self.assertEqual(simtile.Matrix(m.path).shape, (5000, 300))
        for array in (np.zeros(4), np.zeros((2, 2, 2)), np.array([["a"]]), np.zeros((2, 2), dtype=complex)):
            with self.assertRaises(simtile.InvalidArgumentError):
                simtile.Matrix.from_numpy(array, self.path("b.emb"))
        self.assertEqual(os.listdir(self.folder), ["a.emb"])
        for wrong in (lambda: m[5000], lambda: m[0, 300]):
            self.assertRaises(IndexError, wrong)
        for which in ([5000], [-1], [1.5], ["1"], [True], [0, 2**64 - 1]):
            self.assertRaises(simtile.InvalidArgumentError, m.rows, which)
        self.assertEqual(m.rows([]).shape, (0, 300))
        for row in (-1, 5000, 1.0, None, 2**64):
            self.assertRaises(simtile.InvalidArgumentError, m.id, row)
        with self.assertRaises(simtile.IoError) as missing:
            simtile.Matrix(self.path("missing.emb"))
        self.assertIsInstance(missing.exception, OSError)
        self.assertRaises(simtile.InvalidArgumentError, simtile.Matrix, m.path, check="often")
        self.assertRaises(simtile.InvalidArgumentError, simtile.Matrix, m.path, check=None)
        for dtype in ("f80", 3, np.float32):
            with self.assertRaises(simtile.InvalidArgumentError):
                simtile.Matrix.from_numpy(m[:], self.path("b.emb"), dtype=dtype)

    def test_a_failed_write_is_cleared_away_while_its_exception_lives(self):
        dense, sparse = random_rows(50, 4), scipy.sparse.random(50, 9, density=0.5, format="csr", random_state=1)
        for write, good in ((simtile.Matrix.from_numpy, dense), (simtile.Matrix.from_scipy, sparse)):
            bad = good.copy()
            bad[7, 3] = np.nan
            for wrong, ids in ((bad, None), (good, ["a"] * 49 + [None])):
                try:
                    write(wrong, self.path("a.emb"), ids=ids)
                    self.fail("written all the same")
                except simtile.Error as error:
                    self.assertEqual(os.listdir(self.folder), [])
                    m = write(good, self.path("a.emb"))
                    self.assertIsNotNone(error.__traceback__)
                self.assertEqual(m.shape, good.shape)
                os.unlink(self.path("a.emb"))

    def test_damage_is_found_when_touched(self):
        rows = random_rows(5000, 64)
        path = simtile.Matrix.from_numpy(rows, self.path("a.emb")).path
        with open(path, "r+b") as file:
            file.seek(4096 + 4000 * 64 * 4)
            file.write(b"\xff")
        self.assertRaises(simtile.CorruptError, simtile.verify, path)
        self.assertRaises(simtile.CorruptError, simtile.Matrix, path, check="full")
        m = simtile.Matrix(path)
        m.rows([0])
        self.assertRaises(simtile.CorruptError, m.rows, [4000])

    def test_foreign_files(self):
        rows = random_rows(10, 4)
        np.save(self.path("a.npy"), rows)
        with open(self.path("ids.txt"), "w") as ids:
            ids.writelines(f"id{i}\n" for i in range(10))
        m = simtile.import_file(self.path("a.npy"), self.path("a.emb"), ids=self.path("ids.txt"), dtype="f16")
        self.assertEqual((m.element_type, m.find("id7")), ("f16", 7))
        np.testing.assert_array_equal(m[:], rows.astype(np.float16))

    def test_pickle_opens_the_file_again(self):
        m = simtile.Matrix.from_numpy(random_rows(10, 4), self.path("a.emb"))
        again = pickle.loads(pickle.dumps(m))
        np.testing.assert_array_equal(again[:], m[:])
        self.assertEqual(again.path, m.path)


if __name__ == "__main__":
    unittest.main()
