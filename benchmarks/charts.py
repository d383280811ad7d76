"""The chart of ``benchmarks.fuse``."""

Measured = dict[str, list[tuple[float, float]]]
"""Points of the chart by line."""


def draw(by_size: Measured, by_count: Measured, path: str) -> None:
    """The chart: seconds per megapixel by size, seconds by number of sources."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for axis, measured, label in zip(axes, (by_size, by_count), ("megapixels", "sources (320 x 240)"), strict=True):
        for line, points in measured.items():
            style = {"color": "C0" if line.startswith("fast") else "C1", "ls": "-" if "TTD" in line else "--"}
            axis.plot(*zip(*points, strict=True), marker="o", label=line.replace("fast", "ttd_jax"), **style)
        axis.set_xlabel(label)
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
    axes[0].set(xscale="log", ylabel="seconds per megapixel", title="a grey pair")
    axes[1].set(ylabel="seconds", title="several sources")
    axes[0].legend()
    figure.savefig(path, dpi=130)
