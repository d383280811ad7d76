"""``ttd-jax train``: trains the network of the package."""

import argparse
from dataclasses import replace
from typing import Any

from ttd_jax.cli import runtime
from ttd_jax.errors import InputError

_EPILOG = """examples:
  ttd-jax train smoke -o trained
  ttd-jax train general --radiance maps.npz -o trained
"""


def add_parser(subparsers: Any) -> None:
    """Adds the subcommand."""
    parser = subparsers.add_parser(
        "train",
        help="train a checkpoint of the package's own network",
        description="Train a checkpoint of the package's own network, on scenes that are made as it goes.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("plan", metavar="PLAN", help="general (the checkpoint in the package) or smoke (seconds)")
    parser.add_argument("-o", "--output", required=True, metavar="DIR", help="folder to create")
    parser.add_argument("--steps", type=int, help="optimisation steps (default: the plan's)")
    parser.add_argument("--seed", type=int, help="random seed (default: the plan's)")
    parser.add_argument(
        "--radiance", metavar="FILE", help=".npz of linear radiance maps (H, W, 3), a third of the scenes"
    )
    parser.add_argument("--resume", action="store_true", help="continue the run in the output folder")
    runtime.add_arguments(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Trains; returns the exit code."""
    runtime.start_jax(options)
    from ttd_jax.training.plans import PLANS
    from ttd_jax.training.trainer import train

    if options.plan not in PLANS:
        raise InputError(f"plans are {', '.join(PLANS)}; got {options.plan!r}")
    plan = PLANS[options.plan]
    if options.steps is not None:
        if options.steps < 1:
            raise InputError(f"--steps is at least 1; got {options.steps}")
        plan = replace(plan, steps=options.steps)
    if options.seed is not None:
        plan = replace(plan, seed=options.seed)
    if options.radiance is not None:
        plan = replace(plan, radiance=options.radiance)
    print(f"{train(plan, options.output, resume=options.resume)}: {plan.name}, {plan.steps} steps")
    return 0
