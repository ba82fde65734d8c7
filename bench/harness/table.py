"""What was measured, as rows of a table and as bars."""

from statistics import median

# What the columns mean that do not speak for themselves.
MEANINGS = (
    "GFLOP/s: 2 x queries x rows x dims over the seconds, the same for everyone, whoever computes less",
    "of peak: what simtile computed (a self-join scores each pair once: rows^2 x dims) over the seconds, as a share of "
    "the FMA peak: the mean of a second's multiply-adds on as many threads just before each run and just after it",
)
COLUMNS = ("work", "contestant", "runs", "median s", "min", "max", "ratio", "GFLOP/s", "of peak", "peak MiB", "agree",
           "note")


def summarize(work, runs):
    """One dict for each contestant. `runs` maps its name to its runs."""
    summaries = []
    for position, contestant in enumerate(work.contestants):
        its = runs[contestant.name]
        seconds = [run["seconds"] for run in its]
        summary = {
            "work": work.name, "about": work.about, "contestant": contestant.name, "program": contestant.program,
            "rows": contestant.job.rows, "query_rows": contestant.job.query_rows, "dims": contestant.job.dims,
            "top_k": contestant.job.top_k, "metric": contestant.job.metric, "runs": len(its),
            "median_seconds": median(seconds), "min_seconds": min(seconds), "max_seconds": max(seconds),
            "logical_gflops": contestant.job.logical_flops / median(seconds) / 1e9,
            "peak_rss_bytes": max(run["peak_rss_bytes"] for run in its),
            "agreement": min((run["agreement"] for run in its if "agreement" in run), default=None),
            "note": _note(contestant, its),
        }
        reference = summaries[position - 1 if work.scaling else 0]["median_seconds"] if position else None
        summary["ratio"] = summary["median_seconds"] / reference if reference else None
        if its[0].get("fma_peak_flops"):
            summary["fma_peak_gflops"] = median(run["fma_peak_flops"] for run in its) / 1e9
            summary["share_of_fma_peak"] = median(run["flops"] / run["seconds"] / run["fma_peak_flops"] for run in its)
        summaries.append(summary)
    return summaries


def _note(contestant, runs):
    if contestant.program == "simtile":
        in_report = median(run["seconds_in_report"] for run in runs)
        peak = f"; peak {median(run['fma_peak_flops'] for run in runs) / 1e9:.0f}" if runs[0]["fma_peak_flops"] else ""
        return f"{runs[0]['isa']}, threads {runs[0]['threads']}{peak}; {in_report:.3f} s by its report"
    busy = f"{median(run['cpu_seconds'] / run['seconds_measured'] for run in runs):.1f} cores busy"
    if contestant.query_rows < contestant.job.answered_rows:
        return f"{busy}; scaled from {contestant.query_rows:,} query rows"
    return busy


def _cell(value, form):
    return "" if value is None else form.format(value)


def _cells(row):
    return (row["work"], row["contestant"], str(row["runs"]), f"{row['median_seconds']:.3f}",
            f"{row['min_seconds']:.3f}", f"{row['max_seconds']:.3f}", _cell(row["ratio"], "{:.2f}"),
            f"{row['logical_gflops']:.0f}", _cell(row.get("share_of_fma_peak"), "{:.0%}"),
            f"{row['peak_rss_bytes'] / 2**20:.0f}", _cell(row["agreement"], "{:.4f}"), row["note"])


def as_markdown(rows, columns=COLUMNS, cells=_cells):
    lines = [columns] + [cells(row) for row in rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    text = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |" for line in lines]
    text.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(text)


def draw_ratios(rows, path):
    """A bar for each ratio, with the spread that the slowest and fastest runs would give."""
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot, ticker

    bars = [row for row in rows if row["ratio"] is not None]
    if not bars:
        return
    figure, axes = pyplot.subplots(figsize=(9, 1.2 + 0.32 * len(bars)), layout="constrained")
    places = range(len(bars))
    ratios = [row["ratio"] for row in bars]
    below = [ratio * (1 - row["min_seconds"] / row["median_seconds"]) for ratio, row in zip(ratios, bars)]
    above = [ratio * (row["max_seconds"] / row["median_seconds"] - 1) for ratio, row in zip(ratios, bars)]
    axes.barh(places, ratios, xerr=(below, above), color=["C0" if ratio >= 1 else "C3" for ratio in ratios], height=0.7,
              capsize=3)
    axes.set_yticks(places, [f"{row['work']}: {row['contestant']}" for row in bars])
    axes.invert_yaxis()
    axes.axvline(1.0, color="black", linewidth=1)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(ticker.NullFormatter())
    axes.set_xlabel("time over that of the work's first contestant (scaling: the one before); min and max")
    for place, ratio, extra in zip(places, ratios, above):
        axes.text((ratio + extra) * 1.04, place, f"{ratio:.2f}", va="center", fontsize=8)
    axes.margins(x=0.12, y=0.02)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
