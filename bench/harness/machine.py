"""What machine and software a benchmark ran on."""

import json
import os
import platform
import re
import subprocess
from datetime import datetime, timezone
from pathlib import Path

FLAGS_OF_INTEREST = ("avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512_vnni", "avx512_bf16", "amx_tile")
SOURCE_DIR = Path(__file__).resolve().parents[2]
# The least that Google Benchmark is asked for; what it runs to find its number of iterations makes a second of it.
BURST_SECONDS = 0.7


def _proc_value(path, key):
    for line in Path(path).read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return ""


def _git_commit():
    git = ["git", "-C", str(SOURCE_DIR), "describe", "--always", "--dirty"]
    done = subprocess.run(git, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else "not a git clone"


def describe(tools):
    flags = _proc_value("/proc/cpuinfo", "flags").split()
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "cpu": _proc_value("/proc/cpuinfo", "model name"),
        "cpu_flags": [flag for flag in FLAGS_OF_INTEREST if flag in flags],
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(int(_proc_value("/proc/meminfo", "MemTotal").split()[0]) / 2**20, 1),
        "kernel": platform.release(),
        "load_before": os.getloadavg()[0],
        "simtile": subprocess.run([tools.simtile, "--version"], capture_output=True, text=True).stdout.strip(),
        "commit": _git_commit(),
        "compiler": tools.kernels_context().get("compiler", "unknown"),
        "python": platform.python_version(),
    }


class Tools:
    """The built binaries."""

    def __init__(self, folder):
        self.simtile = str(Path(folder) / "simtile")
        self.bench_kernels = str(Path(folder) / "bench_kernels")
        for path in (self.simtile, self.bench_kernels):
            if not os.access(path, os.X_OK):
                raise SystemExit(f"{path} is missing: cmake --preset release && cmake --build --preset release, "
                                 "or name the folder with --bin")

        # {instruction set: the numbers of threads that its peak can be measured with}
        self.peak_threads = {}
        listed = subprocess.run([self.bench_kernels, "--benchmark_list_tests", "--benchmark_filter=fma_peak"],
                                capture_output=True, text=True, check=True)
        for isa, threads in re.findall(r"^fma_peak/(\w+)/.*threads:(\d+)$", listed.stdout, re.MULTILINE):
            self.peak_threads.setdefault(isa, []).append(int(threads))

    def run_kernels(self, name_filter, min_seconds=0.05):
        """The benchmarks of bench_kernels that match, as Google Benchmark's JSON."""
        command = [self.bench_kernels, f"--benchmark_filter={name_filter}", f"--benchmark_min_time={min_seconds}",
                   "--benchmark_format=json"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return json.loads(done.stdout)

    def kernels_context(self):
        return self.run_kernels("prune/scalar/kept:1$")["context"]

    def chosen_isa(self, isa):
        """What `--isa auto` stands for: the widest set."""
        return next((wide for wide in ("avx512", "avx2") if wide in self.peak_threads), "scalar") if isa == "auto" else isa

    def fma_peak_flops(self, isa, threads):
        """The mean rate of multiply-adds over about a second on `threads` threads, or on all processors when there are
        fewer; now, because the clock follows the neighbours' load. None for scalar code, whose peak is nobody's goal."""
        if isa not in self.peak_threads:
            return None
        measurable = self.peak_threads[isa]
        measured = max(count for count in measurable if count <= threads)
        burst = self.run_kernels(f"fma_peak/{isa}/.*threads:{measured}$", BURST_SECONDS)["benchmarks"][0]
        return burst["flops"] * min(threads, max(measurable)) / measured


def lines(facts):
    """The facts as text, a line each."""
    return [f"{key}: {', '.join(value) if isinstance(value, list) else value}" for key, value in facts.items()]
