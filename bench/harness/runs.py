"""Runs one contestant of one work once, and checks that all contestants found the same neighbours."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from harness import files, sets, simtile_job
from harness.works import FAISS_AVX2

PEERS_PROGRAM = str(Path(__file__).with_name("peers.py"))
SAMPLES = 100
# Peers add in another order, so near ties may swap at the K-th place; more than that is a wrong answer.
LEAST_AGREEMENT = 0.995
TIED = 1e-5  # scores so near each other, relatively, differ by rounding alone
LARGEST_SCORE_DIFFERENCE = 1e-3  # relative


def run_peer(task, threads, program=""):
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads)}
    if program == FAISS_AVX2:
        environment["OPENBLAS_CORETYPE"] = "Haswell"
    done = subprocess.run([sys.executable, PEERS_PROGRAM, json.dumps(task)], env=environment, capture_output=True,
                          text=True)
    if done.returncode != 0:
        sys.exit(f"the peer {task['peer']} failed: {done.stderr.strip()[-1500:]}")
    return json.loads(done.stdout)


class Arena:
    """A folder for data and outputs, and what was found so far."""

    def __init__(self, tools, folder, threads):
        self.tools = tools
        self.simtile = tools.simtile
        self.folder = Path(folder)
        self.threads = threads

    def inputs(self, job):
        if job.real_set:
            of_set = sets.SETS[job.real_set]
            names = (of_set.base, of_set.queries if job.query_rows else "")
            return tuple(sets.imported(self.simtile, self.folder, name) if name else "" for name in names)
        base = files.generate(self.simtile, self.folder, job.rows, job.dims)
        queries = files.generate(self.simtile, self.folder, job.query_rows, job.dims, seed=2) if job.query_rows else ""
        return base, queries

    def run(self, contestant):
        """One measurement: `seconds` is what the table compares."""
        threads = contestant.threads or self.threads
        base, queries = self.inputs(contestant.job)
        if contestant.program == "simtile":
            output = str(self.folder / "out.knn")
            report = simtile_job.run(self.simtile, contestant.job, base, queries, output, threads, contestant.isa,
                                     screen=contestant.screen)
            figures = {name: value for name, value in report.items() if not isinstance(value, list)}
            return figures | {"seconds_in_report": report["seconds"], "seconds": report["wall_seconds"],
                             "sample": self.simtile_sample(output, contestant.job)}
        return self.run_a_peer(contestant, base, queries, threads)

    def run_a_peer(self, contestant, base, queries, threads):
        job = contestant.job
        measured = run_peer({
            "peer": "faiss" if contestant.program == FAISS_AVX2 else contestant.program,
            "base": files.info(self.simtile, base),
            "queries": files.info(self.simtile, queries) if queries else None,
            "top_k": job.top_k, "metric": job.metric, "threads": threads, "query_rows": contestant.query_rows,
            "sample_rows": sample_rows(contestant.query_rows),
        }, threads, contestant.program)
        ids, scores = measured.pop("sample_ids"), measured.pop("sample_scores")
        return measured | {"seconds_measured": measured["seconds"], "threads": threads,
                           "seconds": measured["seconds"] * job.answered_rows / contestant.query_rows,
                           "sample": dict(zip(sample_rows(contestant.query_rows), zip(ids, scores)))}

    def simtile_sample(self, output, job):
        """Every row's neighbours: peers sample rows of their own subset."""
        ids, scores = files.neighbours_view(files.info(self.simtile, output))
        return np.array(ids), np.array(scores)


def sample_rows(rows):
    return sorted({i * rows // SAMPLES for i in range(SAMPLES)})


def agreement(simtile_sample, peer_sample):
    """(share of the peer's neighbours that simtile has too, largest difference of the scores rank by rank, relative).
    Where more rows tie for the last places than there are (duplicates), one choice of them is as good as another."""
    all_ids, all_scores = simtile_sample
    shared = wanted = 0
    worst = 0.0
    for row, (ids, scores) in peer_sample.items():
        found, last = set(all_ids[row].tolist()), float(all_scores[row][-1])
        shared += sum(id in found or abs(score - last) <= TIED * max(abs(last), 1e-6) for id, score in zip(ids, scores))
        wanted += len(ids)
        difference = np.abs(np.asarray(scores) - all_scores[row]) / np.maximum(np.abs(all_scores[row]), 1e-6)
        worst = max(worst, float(difference.max()))
    return shared / wanted, worst
