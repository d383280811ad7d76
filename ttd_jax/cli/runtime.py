"""What a subcommand's options of the fusion, of reading and of the device mean."""

import argparse
import os
import re
from typing import Any

from ttd_jax.errors import InputError
from ttd_jax.options import Align, Color, Device, Frame, Precision, WeightingName, choices


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that every computing subcommand has."""
    parser.add_argument(
        "--device", choices=choices(Device), default="auto", help="where to compute (default: the best there is)"
    )
    parser.add_argument(
        "--no-compile-cache",
        dest="compile_cache",
        action="store_false",
        help="do not keep compiled programs in your cache folder for the next run",
    )


def add_fusion_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that say which fusion is meant."""
    parser.add_argument("--backbone", help="fusion network (default: the one in the package)")
    parser.add_argument("--checkpoint", metavar="DIR", help="its checkpoint folder")
    parser.add_argument("--weighting", choices=choices(WeightingName), default="loss", help="default: loss")
    parser.add_argument(
        "--channel",
        type=_channel,
        metavar="N",
        help="feature channel for --weighting gradient: an index, several (13,44,58), auto, or mean (default)",
    )
    parser.add_argument("--recipe", help="named weighting recipe of the backbone (see ttd-jax info)")
    parser.add_argument(
        "--color",
        choices=choices(Color),
        default="auto",
        help="auto keeps colour if any source has it (default)",
    )
    parser.add_argument(
        "--precision",
        choices=choices(Precision),
        default="float32",
        help="of the products in the network (default: float32)",
    )


def add_reading_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that say how source files are read."""
    parser.add_argument(
        "--range",
        nargs=2,
        action="append",
        metavar=("LOW", "HIGH"),
        help="the values that become black and white, of every source or of one: --range 0 4095 for 12 bits in 16, "
        "--range mri=0 4095 for one source; can come repeatedly",
    )
    parser.add_argument(
        "--window",
        nargs=2,
        action="append",
        metavar=("CENTER", "WIDTH"),
        help="a range as radiologists tell it: --window 40 400, --window ct=40 400; in place of --range",
    )
    parser.add_argument(
        "--keep-range",
        action="store_true",
        help="write the result in the range told of the first source, not in full scale",
    )
    parser.add_argument(
        "--max-pixels", type=int, metavar="N", help="read pictures of up to N pixels (default: 178956970)"
    )


def add_alignment_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that say whether sources are registered first."""
    parser.add_argument(
        "--align",
        nargs="?",
        const="auto",
        choices=choices(Align),
        help="register the sources on the first one (or visible, or mri) before they are fused: auto (turn, scale, "
        "shift) if no kind of transform is named",
    )
    parser.add_argument(
        "--align-frame",
        choices=choices(Frame),
        default="crop",
        help="crop shows what aligned sources have in common (default), keep the whole reference",
    )


def settle_reading(options: argparse.Namespace) -> Any:
    """The ranges that are meant, for ``check_sources``; the limit of pixels is set for this process.

    Raises:
        InputError: A number is none, or a source has two ranges.
    """
    if options.max_pixels is not None:
        os.environ["TTD_JAX_MAX_PIXELS"] = str(options.max_pixels)
    found: dict[str, tuple[float, float]] = {}
    given = [("--range", "0 4095 or mri=0 4095", *one) for one in options.range or ()]
    given += [("--window", "40 400 or ct=40 400", *one) for one in options.window or ()]
    for name, example, first, second in given:
        source, _, low = first.rpartition("=")
        try:
            limits = float(low), float(second)
        except ValueError:
            raise InputError(f"{name} takes two numbers, such as {example}; got {first} {second}") from None
        if source in found or (found and "" in {source, *found}):
            raise InputError(f"give {name} once for all sources, or once for each of some")
        if name == "--window":
            center, width = limits
            if not width > 0:
                raise InputError(f"a window has a center and a width above 0; got {center:g} and {width:g}")
            limits = center - width / 2, center + width / 2
        found[source] = limits
    return found.get("", found or None)


def _channel(text: str) -> Any:
    if text in ("mean", "auto"):
        return text
    if not re.fullmatch(r"\d+(,\d+)*", text):
        raise argparse.ArgumentTypeError(f"an index, indices such as 13,44,58, mean or auto; got {text!r}")
    indices = [int(index) for index in text.split(",")]
    return indices if len(indices) > 1 else indices[0]


def check_fusion_arguments(options: argparse.Namespace) -> None:
    """Refuses options that contradict each other, before jax starts.

    Raises:
        InputError: A channel without weights by gradients.
    """
    if options.channel is not None and options.weighting != "gradient":
        raise InputError("--channel is for gradients: add --weighting gradient")


def make_fuser(options: argparse.Namespace, **settled: Any) -> Any:
    """The fuser that the options mean; some of its arguments may be settled otherwise."""
    from ttd_jax import Fuser

    return Fuser(**fuser_arguments(options, **settled))


def fuser_arguments(options: argparse.Namespace, **settled: Any) -> dict[str, Any]:
    """The arguments of the fuser that the options mean; some of them may be settled otherwise."""
    from ttd_jax import GradientWeighting, load_backbone

    wanted = {
        "weighting": options.weighting if options.channel is None else GradientWeighting(channel=options.channel),
        "recipe": options.recipe,
        "color": options.color,
        "precision": options.precision,
        "range": settle_reading(options) if hasattr(options, "range") else None,
        "keep_range": getattr(options, "keep_range", False),
        "align": getattr(options, "align", None),
        "align_frame": getattr(options, "align_frame", "crop"),
        "program_folder": getattr(options, "program_folder", None),
    } | settled
    if wanted.get("backbone") is None:
        wanted["backbone"] = load_backbone(options.backbone, options.checkpoint)
    return wanted


def start_jax(options: argparse.Namespace) -> None:
    """Imports jax on the device asked for, with the compile cache on unless it was switched off.

    Raises:
        InputError: There is no such device.
    """
    from ttd_jax import device

    options.program_folder = device.start_jax(device=options.device, compile_cache=options.compile_cache)
