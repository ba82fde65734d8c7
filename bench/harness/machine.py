"""What machine and software a benchmark ran on."""

import json
import os
import platform
import subprocess
from datetime import datetime, timezone
from pathlib import Path

FLAGS_OF_INTEREST = ("avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512_vnni", "avx512_bf16", "amx_tile")
SOURCE_DIR = Path(__file__).resolve().parents[2]


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

    def run_kernels(self, name_filter, repetitions=1):
        """The benchmarks of bench_kernels that match, as Google Benchmark's JSON."""
        command = [self.bench_kernels, f"--benchmark_filter={name_filter}", "--benchmark_min_time=0.05",
                   f"--benchmark_repetitions={repetitions}", "--benchmark_format=json"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return json.loads(done.stdout)

    def kernels_context(self):
        return self.run_kernels("prune/scalar/kept:1$")["context"]

    def fma_peak_flops(self, isa, threads):
        """The best of five tries of `threads` threads at once, or of all processors when there are fewer. None for
        scalar code, whose peak is nobody's goal."""
        if isa == "scalar":
            return None
        peaks = {}
        for run in self.run_kernels(f"fma_peak/{isa}/", repetitions=5)["benchmarks"]:
            if run["run_type"] == "iteration":
                peaks[run["threads"]] = max(run["flops"], peaks.get(run["threads"], 0.0))
        return peaks[threads] if threads in peaks else peaks[1] * min(threads, max(peaks))


def lines(facts):
    """The facts as text, a line each."""
    return [f"{key}: {', '.join(value) if isinstance(value, list) else value}" for key, value in facts.items()]
