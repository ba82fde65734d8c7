"""What the Python tests share: a folder for each test, the definition of a score, and questions to the kernel."""

import os
import shutil
import tempfile
import unittest

import numpy as np


class TempFolderTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="simtile-test-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.folder, name)


def random_rows(rows, columns, seed=1):
    return np.random.default_rng(seed).standard_normal((rows, columns), dtype=np.float32)


def definition(base, query, metric):
    """Scores of one query with all rows, by job.h: the chain in float64 is near enough to tell neighbours apart."""
    base, query = base.astype(np.float64), query.astype(np.float64)
    if metric == "l2":
        return ((base - query) ** 2).sum(axis=1)
    if metric == "cosine":
        lengths = np.linalg.norm(base, axis=1) * np.linalg.norm(query)
        return np.divide(base @ query, lengths, out=np.zeros(len(base)), where=lengths > 0)
    return base @ query


def best_rows(base, query, metric, top_k, exclude=None):
    scores = definition(base, query, metric)
    order = np.lexsort((np.arange(len(base)), scores if metric == "l2" else -scores))
    return [row for row in order if row != exclude][:top_k]


def mapping_of(address):
    """The line of /proc/self/maps that an address lies in."""
    with open("/proc/self/maps") as maps:
        for line in maps:
            begin, end = (int(word, 16) for word in line.split()[0].split("-"))
            if begin <= address < end:
                return line
    return ""


def address_of(array):
    return array.__array_interface__["data"][0]


def rss_bytes():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS:"))


def pss_of_file(pid, path):
    """What a process pays for a mapped file: its pages, each divided by the number of processes that map it."""
    total, inside = 0, False
    with open(f"/proc/{pid}/smaps") as smaps:
        for line in smaps:
            if not line.split()[0].endswith(":"):
                inside = line.rstrip().endswith(path)
            elif inside and line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024
    return total
