"""``ttd-jax fuse`` of volumes: DICOM series and NIfTI on one grid, fused slice by slice."""

import argparse
import json
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from ttd_jax.cli import runtime
from ttd_jax.cli.kinds import are_all, refuse_given
from ttd_jax.cli.progress import followed
from ttd_jax.errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of volumes."""
    group = parser.add_argument_group("volumes")
    group.add_argument(
        "--colormap",
        action="append",
        metavar="ROLE=NAME",
        help="colours for a source, such as pet=hot (also cool, rainbow); the result is then RGB",
    )
    group.add_argument(
        "--patient",
        choices=("keep", "remove"),
        help="whether a DICOM result names the patient and study; has to be said",
    )
    group.add_argument("--overview", metavar="FILE", help="also write a picture of the three middle planes")


def are_volumes(paths: list[Path]) -> bool:
    """Whether the sources are volumes.

    Raises:
        InputError: Some are, and some are not.
    """
    from ttd_jax.io.dicom import is_dicom
    from ttd_jax.io.nifti import is_nifti

    def is_one(path: Path) -> bool:
        return isinstance(path, Path) and "\0" not in str(path) and (is_nifti(path) or is_dicom(path))

    return are_all(paths, is_one, "volume")


def refuse_arguments(options: argparse.Namespace) -> None:
    """Refuses options of volumes where there are none.

    Raises:
        InputError: One was given.
    """
    given = {"--colormap": options.colormap, "--patient": options.patient, "--overview": options.overview}
    refuse_given(given, "is for volumes (DICOM series, NIfTI); the sources are none")


def run(options: argparse.Namespace, sources: Any, paths: list[Path]) -> int:
    """Fuses volumes on the grid of the reference; returns the exit code."""
    import numpy as np

    from ttd_jax.cli.fuse import refuse_existing
    from ttd_jax.inputs import REFERENCES
    from ttd_jax.io.atomic import check_output
    from ttd_jax.io.images import check_writable, write_image
    from ttd_jax.io.nifti import is_nifti, write_nifti
    from ttd_jax.io.outputs import refuse_clashes
    from ttd_jax.io.volumes import onto_grid, overview

    unsuited = {"--save-weights": options.save_weights, "--save-static": options.save_static}
    refuse_given(unsuited, "is for images: leave it out for volumes")
    output = Path(options.output)
    picture = Path(options.overview) if options.overview else None
    if not is_nifti(output) and output.suffix:
        raise InputError(f"the result of volumes is a folder for DICOM, or .nii or .nii.gz; got {output.name}")
    refuse_clashes([output, picture], paths)
    check_output(output, overwrite=True)
    if picture is not None:
        check_output(check_writable(picture), overwrite=True)
    roles = list(sources) if isinstance(sources, dict) else [f"source {i + 1}" for i in range(len(paths))]
    first = next((roles.index(role) for role in REFERENCES if role in roles), 0)
    maps = _colormaps(options.colormap, roles)
    started = time.monotonic()
    volumes = [_read(path) for path in paths]
    target = volumes[first]
    if not is_nifti(output) and target.header is not None and options.patient is None:
        raise InputError("a DICOM result says whose it is, or does not: pass --patient keep or --patient remove")
    windows, remarks = _windows(roles, volumes, runtime.settle_reading(options))
    facts: dict[str, Any] = {}
    if options.align:
        volumes, facts["alignment"], said = _aligned(roles, volumes, first, options.align)
        remarks += said
    placed = [onto_grid(volume, target, role) for role, volume in zip(roles, volumes, strict=True)]
    read = time.monotonic() - started
    refuse_existing([output, picture], options.overwrite)
    runtime.start_jax(options)
    fuser = runtime.make_fuser(options, tile=options.tile, range=None, align=None)
    slices = (
        [_unit(v[s], w, maps.get(r)) for r, v, w in zip(roles, placed, windows, strict=True)]
        for s in range(len(target.values))
    )
    given = (dict(zip(roles, one, strict=True)) if isinstance(sources, dict) else one for one in slices)
    begun, planes, report = time.monotonic(), [], {}
    with closing(fuser.stream(given)) as results:
        for result in followed(results, len(target.values), "fusing", unit="slices"):
            planes.append(np.asarray(result.image, np.float32))
            report = dict(result.report)
    voxels = np.stack(planes)
    fused = time.monotonic() - begun
    colored = voxels.ndim == 4
    low, high = windows[first]
    stored = np.rint(voxels * 255).astype(np.uint8) if colored else voxels
    if picture is not None:
        write_image(picture, np.rint(overview(voxels, target.spacing) * 255).astype(np.uint8), overwrite=True)
    if is_nifti(output):
        values = stored if colored else low + voxels * (high - low)
        write_nifti(output, values, target.grid, overwrite=options.overwrite)
    else:
        from ttd_jax.io.dicom_results import write_dicom

        keep = options.patient == "keep"
        write_dicom(output, stored, target, windows[first], keep_patient=keep, overwrite=options.overwrite)
    for remark in remarks:
        print(f"ttd-jax: note: {remark}", file=sys.stderr)
    count, height, width = voxels.shape[:3]
    if options.json:
        facts |= {
            "output": str(output),
            "slices": count,
            "spacing": target.spacing,
            "windows": dict(zip(roles, windows, strict=True)),
        }
        times = {"read": round(read, 3), "fuse": round(fused, 3)}
        print(json.dumps({**report, **facts, "remarks": remarks, "seconds": times}))
    else:
        seconds = time.monotonic() - started
        spacing = " x ".join(f"{number:.3g}" for number in target.spacing[::-1])
        print(
            f"{output}: {len(paths)} volumes, {width} x {height} x {count} voxels of {spacing} mm, "
            f"{'RGB' if colored else 'grey'}, {seconds:.2f} s, {read / seconds:.0%} of it reading"
            f"{' and aligning' if options.align else ''}"
        )
    return 0


def _read(path: Path) -> Any:
    from ttd_jax.io.dicom import read_dicom
    from ttd_jax.io.nifti import is_nifti, read_nifti

    return read_nifti(path) if is_nifti(path) else read_dicom(path)


def _aligned(roles: list[str], volumes: list[Any], first: int, model: str) -> tuple[list[Any], Any, list[str]]:
    """The volumes, their grids moved onto the reference; transforms by role, and what was done in words.

    Raises:
        InputError: Another transform than a rigid one is asked for, or one cannot be aligned.
    """
    from dataclasses import replace

    import numpy as np

    from ttd_jax.align.volumes import register_volume

    if model not in ("auto", "euclidean"):
        raise InputError(f"volumes are registered by turns and shifts: --align auto or euclidean; got {model}")
    target, moved, transforms, said = volumes[first], list(volumes), {}, []
    for index, (role, volume) in enumerate(zip(roles, volumes, strict=True)):
        if index == first:
            continue
        try:
            found = register_volume(target.values, target.grid, volume.values, volume.grid)
        except InputError as error:
            if "pip install" in str(error):
                raise
            raise InputError(
                f"{role} could not be aligned to {roles[first]}: {error}: check that both are of one patient, or leave "
                "--align out to take them as their files say"
            ) from None
        moved[index] = replace(volume, grid=np.linalg.inv(found.transform) @ volume.grid)
        transforms[role] = {"millimetres": found.transform.tolist(), "apart": round(found.apart, 3)}
        said.append(
            f"{role} was moved by {found.moved:.1f} mm, {found.turned:.1f} degrees of turn among them; halves of the "
            f"voxels disagree by {found.apart:.1f} mm"
        )
    return moved, transforms, said


def _colormaps(given: list[str] | None, roles: list[str]) -> dict[str, str]:
    """Colour maps by role.

    Raises:
        InputError: One is not told, or is for no source.
    """
    from ttd_jax.io.volumes import COLORMAPS

    found = {}
    for text in given or ():
        role, _, name = text.rpartition("=")
        if role not in roles or name not in COLORMAPS:
            raise InputError(
                f"--colormap is ROLE=NAME with a role of {', '.join(roles)} and a name of {', '.join(COLORMAPS)}; "
                f"got {text}"
            )
        found[role] = name
    return found


def _windows(roles: list[str], volumes: list[Any], ranges: Any) -> tuple[list[tuple[float, float]], list[str]]:
    """The values that are black and white in every volume: those told, those of the file, else all there are."""
    told = ranges if isinstance(ranges, dict) else dict.fromkeys(roles, ranges) if ranges else {}
    if unknown := told.keys() - set(roles):
        raise InputError(f"ranges are of the sources {', '.join(roles)}; got one of {', '.join(sorted(unknown))}")
    windows, remarks = [], []
    for role, volume in zip(roles, volumes, strict=True):
        window = told.get(role) or volume.window
        if window is None:
            window = float(volume.values.min()), float(volume.values.max())
            remarks.append(
                f"{role} says no window: shown from its least value, {window[0]:g}, to its largest, {window[1]:g}"
            )
        if not window[0] < window[1]:
            raise InputError(f"{role} has one value only, {window[0]:g}, or an empty window: give it a --window")
        windows.append((float(window[0]), float(window[1])))
    return windows, remarks


def _unit(plane: Any, window: tuple[float, float], colormap: str | None) -> Any:
    import numpy as np

    from ttd_jax.io.volumes import apply_colormap

    low, high = window
    unit = np.clip((plane - low) / (high - low), 0, 1).astype(np.float32)
    return apply_colormap(unit, colormap) if colormap else unit
