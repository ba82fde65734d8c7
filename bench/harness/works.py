"""The work list of bench/compare: rows of its table."""

from dataclasses import dataclass, replace

from harness import sets
from harness.simtile_job import Job

# FAISS with OpenBLAS held to AVX2, beside simtile held to AVX2.
FAISS_AVX2 = "faiss-avx2"
# Peers' cost is proportional to their query rows, so the slow ones search fewer: (most, most with --quick).
ALL = 1 << 62
MOST_QUERY_ROWS = {"faiss": (ALL, 20_000), FAISS_AVX2: (ALL, 20_000), "numpy": (10_000, 2_000),
                   "sklearn-cosine": (10_000, 2_000), "sklearn-neighbors": (10_000, 2_000), "hnswlib": (2_000, 500)}


@dataclass(frozen=True)
class Contestant:
    name: str
    job: Job
    program: str = "simtile"
    isa: str = "auto"
    screen: str = "auto"
    threads: int = 0  # 0: as many as --threads says
    # Peers only: how many query rows are searched; their time is scaled up to all of the job's.
    query_rows: int = 0


@dataclass(frozen=True)
class Work:
    name: str
    about: str
    contestants: tuple
    # Ratios are of a contestant's seconds to the first one's; in a scaling work to the one's before it.
    scaling: bool = False


def _against(name, about, job, peers, quick, isa="auto"):
    contestants = [Contestant("simtile", job, isa=isa)]
    contestants += [Contestant(peer, job, program=peer, query_rows=min(MOST_QUERY_ROWS[peer][quick], job.answered_rows))
                    for peer in peers]
    return Work(name, about, tuple(contestants))


def _with_and_without_screen(name, about, job, peers, quick):
    work = _against(name, about, job, peers, quick)
    without = Contestant("simtile --screen off", job, screen="off")
    return replace(work, contestants=(work.contestants[0], without, *work.contestants[1:]))


def screened_works(quick, scale):
    """Work that has structure to skip by, and noise that has none."""
    rows, dims = sets.shape(sets.SETS["fashion-mnist"].base)
    fashion = Job(rows, dims, 10, "cosine", real_set="fashion-mnist")
    search = replace(fashion, metric="l2", query_rows=sets.shape(sets.SETS["fashion-mnist"].queries)[0])
    real = [("screen-fashion", fashion), ("screen-fashion-l2", replace(fashion, metric="l2")),
            ("screen-fashion-100", replace(fashion, top_k=100)), ("screen-fashion-search", search)]
    for name in ("cmudict", "bge-queries"):
        rows, dims = sets.shape(sets.SETS[name].base)
        real.append((f"screen-{name}", Job(rows, dims, 10, "cosine", real_set=name)))
    works = [_with_and_without_screen(name, "real rows", job, ("faiss",), quick) for name, job in real if job.rows]
    noise = Job(50_000, 512, 10, "cosine").scaled(scale)
    return works + [_with_and_without_screen("screen-noise", "Gaussian rows", noise, (), quick)]


def all_works(quick, scale):
    general = ("faiss", "numpy", "hnswlib")
    search = {dims: Job(50_000, dims, 10, query_rows=10_000).scaled(scale) for dims in (512, 128)}
    joins = {"join-128": Job(50_000, 128, 10).scaled(scale), "join-512": Job(50_000, 512, 100).scaled(scale),
             "join-768": Job(20_000, 768, 200).scaled(scale)}
    cosine = replace(joins["join-128"], metric="cosine")
    l2 = replace(joins["join-128"], metric="l2")

    works = [_against(f"search-{dims}", "search", job, general, quick) for dims, job in search.items()]
    works += [_against(name, "self-join", job, general if name == "join-128" else ("faiss",), quick)
              for name, job in joins.items()]
    works += [_against(f"{name}-avx2", "self-join, AVX2", job, ("faiss", FAISS_AVX2), quick, isa="avx2")
              for name, job in joins.items()]
    works.append(_against("join-128-cosine", "self-join", cosine,
                          ("faiss", "sklearn-cosine", "sklearn-neighbors", "numpy"), quick))
    works.append(_against("join-128-l2", "self-join", l2, ("faiss",), quick))
    few_dims = Job(50_000, 16, 100).scaled(scale)
    works.append(_against("join-16", "self-join, few dimensions", few_dims, ("faiss",), quick))
    works += [Work(f"{name}-threads", "2 threads against 1",
                   (Contestant("2 threads", joins[name], threads=2), Contestant("1 thread", joins[name], threads=1)))
              for name in ("join-128", "join-512")]
    doubling = [Job(rows, 128, 10).scaled(scale) for rows in (25_000, 50_000, 100_000, 200_000)]
    works.append(Work("scaling-128", "self-join, twice the rows",
                      tuple(Contestant(f"{job.rows:,} rows", job) for job in doubling), scaling=True))
    return works + screened_works(quick, scale)
