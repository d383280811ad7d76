"""What a subcommand sets up before it imports jax: the device and the compile cache."""

import argparse
import os
import re
import stat
import sys
import warnings
from pathlib import Path
from typing import Any

from ttd_jax.errors import InputError
from ttd_jax.options import Align, Color, Frame, Precision, WeightingName, choices

_PLATFORMS = {"cpu": "cpu", "gpu": "cuda", "tpu": "tpu"}
_EXTRAS = {"gpu": "cuda12", "tpu": "tpu"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that every computing subcommand has."""
    parser.add_argument(
        "--device", choices=("auto", *_PLATFORMS), default="auto", help="where to compute (default: the best there is)"
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
        help="register the sources on the first one (or visible, or mri) before they are fused: auto (affine) if no "
        "kind of transform is named",
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
    from ttd_jax import Fuser, GradientWeighting, load_backbone

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
    backbone = wanted.pop("backbone", None) or load_backbone(options.backbone, options.checkpoint)
    return Fuser(backbone, **wanted)


def start_jax(options: argparse.Namespace) -> None:
    """Imports jax on the device asked for, with the compile cache on unless it was switched off.

    Raises:
        InputError: There is no such device.
    """
    if options.device != "auto":
        os.environ["JAX_PLATFORMS"] = _PLATFORMS[options.device]
    import jax

    try:
        found = jax.default_backend()
    except (RuntimeError, AssertionError):  # jax asserts where the plugin of a platform is not installed
        found = None
    if options.device == "auto" and found is None:
        raise InputError(
            f"jax finds no device with JAX_PLATFORMS={os.environ.get('JAX_PLATFORMS', '')}{_devices_there_are()}: set "
            "another, or unset it"
        )
    if options.device not in ("auto", found):
        extra = _EXTRAS.get(options.device)
        remedy = f"install the extra for it (pip install 'ttd-jax[{extra}]') or " if extra else ""
        raise InputError(f"no {options.device} device found{_devices_there_are()}: {remedy}leave --device out")
    if options.compile_cache and (folder := compile_cache_folder()):
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
        _drop_what_cannot_be_read(folder)
        options.program_folder = folder


def _devices_there_are() -> str:
    """What jax finds when it may look for anything, in words."""
    import jax

    platforms = jax.config.values["jax_platforms"]
    jax.config.update("jax_platforms", None)
    try:
        return ", only " + ", ".join(f"{device.platform}:{device.id}" for device in jax.devices())
    except (RuntimeError, AssertionError):
        return ""
    finally:
        jax.config.update("jax_platforms", platforms)


def _drop_what_cannot_be_read(folder: Path) -> None:
    """Removes entries of the compile cache that jax warns of, in place of the warning: then it writes them anew.

    jax keeps an entry that it cannot read (of a process that was killed while writing it, say), and would compile, and
    warn, in every run.
    """
    show, about = warnings.showwarning, "Error (reading|writing) persistent compilation cache entry"

    def handle(message: Any, *where: Any, **options: Any) -> None:
        if not re.match(about, str(message)):
            return show(message, *where, **options)
        if found := re.match(rf"{about} for '([\w.-]+)'", str(message)):
            for entry in folder.glob(f"{found[2]}-*"):
                entry.unlink(missing_ok=True)

    warnings.showwarning = handle
    warnings.filterwarnings("always", message=about)


def compile_cache_folder() -> Path | None:
    """A folder in the user's cache that only the user can enter, since its files are run; None if there can be none."""
    from platformdirs import user_cache_path

    folder = user_cache_path("ttd-jax", appauthor=False) / "compiled"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.stat()
        if hasattr(os, "getuid") and found.st_uid != os.getuid():
            raise PermissionError(f"{folder} belongs to someone else")
        if stat.S_IMODE(found.st_mode) != 0o700:
            folder.chmod(0o700)
        return folder
    except OSError as error:
        print(f"ttd-jax: no compile cache ({error}): this run compiles afresh", file=sys.stderr)
        return None
