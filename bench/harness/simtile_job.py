"""A join or search as a user runs it: the whole command, timed from outside, with its own report."""

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Job:
    """What is asked, whoever answers. Without query_rows it is a self-join."""
    rows: int
    dims: int
    top_k: int
    metric: str = "ip"
    query_rows: int = 0
    real_set: str = ""  # of harness.sets; otherwise Gaussian rows

    @property
    def answered_rows(self):
        return self.query_rows or self.rows

    @property
    def logical_flops(self):
        """A multiplication and an addition for each dimension of each pair, however few a symmetric join computes."""
        return 2.0 * self.answered_rows * self.rows * self.dims

    def scaled(self, scale):
        if scale == 1 or self.real_set:
            return self
        rows = max(500, int(self.rows * scale))
        query_rows = max(100, int(self.query_rows * scale)) if self.query_rows else 0
        return Job(rows, self.dims, min(self.top_k, rows // 5), self.metric, query_rows)


def run(simtile, job, base, queries, output, threads, isa="auto", budget=None, screen="auto"):
    """Runs the job; returns its report with `wall_seconds` added. Ends the benchmark when simtile fails."""
    report = Path(output).with_suffix(".json")
    command = [simtile, "search" if queries else "join", base] + ([queries] if queries else [])
    command += ["--top-k", str(job.top_k), "--metric", job.metric, "--threads", str(threads), "--isa", isa]
    command += ["--screen", screen]
    command += ["--budget", str(budget)] if budget else []
    command += ["--output", str(output), "--report", str(report), "--fresh", "--progress", "none"]
    start = time.monotonic()
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    wall_seconds = time.monotonic() - start
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit code {done.returncode}: {done.stderr.strip()}")
    return json.loads(report.read_text()) | {"wall_seconds": wall_seconds}
