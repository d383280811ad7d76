"""Sixteen cells, clean and with a damaged source: ours beside static weights, controls, networks and classical peers.

``python -m studies.cells [--half report] [--robust] [--quick] [--ours "fuse checkpoint=DIR"] [--ifcnn DIR]
[--networks DIR ...] [--method NAME ...]`` prints a table for each task, and in how many cells the first row is better
than each of the others. ``studies.measures`` says what the cells are, ``studies.methods`` how methods are named,
``studies.damage`` what a damaged source is. ``--ifcnn`` is a folder of the converted checkpoints ``max``, ``mean`` and
``sum``; ``--networks`` are any converted checkpoints, each by its own rule and with its default weights
(``studies.networks``). What has been computed before with the same code and data is not computed again.
"""

import argparse
from collections.abc import Iterable, Mapping
from pathlib import Path

from studies import classical
from studies.damage import COUNTED, DAMAGES
from studies.measures import CELLS, SHARPNESS, Scores
from studies.methods import CONTROLS, Method, named_method
from studies.networks import network_methods, print_networks
from studies.pairs import HALVES, load_half
from studies.scoring import DATA, peer_scores, won

RULES = ("max", "mean", "sum")
Rows = Mapping[str, Scores]
"""Scores by the label of a method, ours first."""


def best_rule(scores: Rows) -> Scores:
    """Of several methods, for each task the one that is best in most of its cells, ties going to the first."""
    chosen: Scores = {}
    for task, names in CELLS.items():
        best = {name: max(each[task, name] for each in scores.values()) for name in names}
        winner = max(scores, key=lambda rule: sum(scores[rule][task, name] == best[name] for name in names))
        chosen |= {cell: value for cell, value in scores[winner].items() if cell[-2] == task}
    return chosen


def print_table(rows: Rows, damage: str | None = None) -> None:
    """Markdown, a table per task, of the clean cells or of those of one kind of damage."""
    for task, names in CELLS.items():
        columns = (*names, *SHARPNESS)
        print(f"\n| {f'{damage}: ' if damage else ''}{task} | " + " | ".join(columns) + " |")
        print("|---" * (1 + len(columns)) + "|")
        for label, scores in rows.items():
            cells = [((damage, task, name) if damage else (task, name)) for name in columns]
            print(f"| {label} | " + " | ".join(f"{scores.get(cell, float('nan')):.4f}" for cell in cells) + " |")


def print_pairwise(rows: Rows) -> None:
    """Markdown: in how many cells the first row is better than each of the others, by task and together."""
    (ours, scores), *peers = rows.items()
    print(f"\n| {ours} better than | " + " | ".join(CELLS) + " | all | tasks with three of four |")
    print("|---" * (3 + len(CELLS)) + "|")
    total, cells = 0, 0
    for label, peer in peers:
        by_task = [won(scores, peer, task) for task in CELLS]
        count, of = won(scores, peer)
        total, cells = total + count, cells + of
        enough = sum(4 * better >= 3 * all_ for better, all_ in by_task)
        counts = " | ".join(str(better) for better, _ in by_task)
        print(f"| {label} | {counts} | {count} of {of} | {enough} of {len(CELLS)} |")
    best = sum(
        all(won({cell: scores[cell]}, {cell: peer.get(cell, float("nan"))})[0] for _, peer in peers)
        for cell in scores
        if cell[-1] in CELLS[cell[-2]]
    )
    print(f"\n{ours} is better in {total} of {cells} cells, and best of all {len(rows)} methods in {best}.")


def print_robust(rows: Rows) -> None:
    """Markdown: cells won with a damaged source, by kind; the 48 counted ones and all of them."""
    (ours, scores), *peers = rows.items()
    print(f"\n| damaged source: {ours} better than | " + " | ".join(DAMAGES) + f" | {', '.join(COUNTED)} | all |")
    print("|---" * (3 + len(DAMAGES)) + "|")
    for label, peer in peers:
        kinds = {kind: won({c: v for c, v in scores.items() if c[0] == kind}, peer) for kind in DAMAGES}
        sums = [[sum(pair) for pair in zip(*(kinds[kind] for kind in some), strict=True)] for some in (COUNTED, kinds)]
        counts = [*(f"{better} of {of}" for better, of in (*kinds.values(), *sums))]
        print(f"| {label} | " + " | ".join(counts) + " |")


def methods(
    ours: str, extra: Iterable[str] = (), ifcnn: Path | None = None, networks: Iterable[Path] = ()
) -> dict[str, Method]:
    """By label: ours, static fusion and the controls of the same network, other networks, the classical peers.

    Args:
        ours: The name of a method, in general ``fuse`` with options.
        extra: Names of more methods, after ours.
        ifcnn: Folder of IFCNN's converted checkpoints.
        networks: Converted checkpoints of other networks.
    """
    found = {"ours": named_method(ours)}
    if ours.split()[0] == "fuse":
        network = " ".join(part for part in ours.split()[1:] if part.split("=")[0] in ("backbone", "checkpoint"))
        names = [f"fuse weighting=static {network}", *(f"{control} {network}" for control in CONTROLS)]
        found |= {label: named_method(name.strip()) for label, name in zip(("static", *CONTROLS), names, strict=True)}
    found |= {name: named_method(name) for name in extra}
    for rule in RULES if ifcnn else ():
        assert ifcnn is not None
        found[f"IFCNN {rule}"] = named_method(f"fuse backbone=ifcnn weighting=static checkpoint={ifcnn / rule}")
    return found | network_methods(networks) | {name: named_method(name) for name in classical.METHODS}


def with_best_rule(rows: Rows) -> Rows:
    """The rows, and IFCNN's best rule of each task if its rules are among them."""
    rules = {label: scores for label, scores in rows.items() if label.startswith("IFCNN ")}
    return {**rows, "IFCNN, best rule of each task": best_rule(rules)} if rules else rows


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA, help="folder of test pairs (see studies/pairs.py)")
    parser.add_argument("--half", choices=(*HALVES, "both"), default="choose", help="half of the pairs")
    parser.add_argument("--ours", default="fuse", metavar="NAME", help="the method to judge (default: plain fuse)")
    parser.add_argument("--method", nargs="*", default=[], metavar="NAME", help="more methods (see studies/methods.py)")
    parser.add_argument("--ifcnn", type=Path, help="folder of the converted IFCNN checkpoints max, mean and sum")
    parser.add_argument("--networks", type=Path, nargs="*", default=[], metavar="DIR", help="converted checkpoints")
    parser.add_argument("--size", type=int, default=256, help="central pixels of each pair")
    parser.add_argument("--limit", type=int, help="pairs of each task (default: all)")
    parser.add_argument("--quick", action="store_true", help="six pairs of each task")
    parser.add_argument("--robust", action="store_true", help="damage one source, too")
    options = parser.parse_args()
    limit = 6 if options.quick else options.limit
    pairs = load_half(options.data, options.half, options.size)
    counts = [f"{min(len(members), limit or len(members))} {task}" for task, members in pairs.items()]
    print(f"{', '.join(counts)} pairs of half {options.half!r}, central {options.size} pixels")
    named = methods(options.ours, options.method, options.ifcnn, options.networks)
    if options.networks:
        print_networks(options.networks)
    settled = dict(half=options.half, limit=limit, data=options.data, size=options.size)
    rows = with_best_rule({label: peer_scores(method, **settled) for label, method in named.items()})
    print_table(rows)
    print_pairwise(rows)
    if options.robust:
        rows = {label: peer_scores(method, robust=True, **settled) for label, method in named.items()}
        for kind in DAMAGES:
            print_table(rows, kind)
        print_robust(rows)


if __name__ == "__main__":
    main()
