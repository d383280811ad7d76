"""Cameras by PyAV, in imageio's words: ``<video0>`` is the first one."""

import os
import re
import sys
from pathlib import Path

from ttd_jax.errors import InputError
from ttd_jax.io.video import Video, opened

_NAME = re.compile(r"<video(\d+)>")


def is_camera(path: str | os.PathLike[str]) -> bool:
    """Whether a name is that of a camera.

    Example:
        >>> is_camera("<video0>"), is_camera("video0.mp4")
        (True, False)
    """
    return bool(_NAME.fullmatch(str(path)))


def open_camera(path: str | os.PathLike[str]) -> Video:
    """A camera, open for reading.

    Raises:
        InputError: PyAV is missing, there is no such camera, or cameras of this system have no numbers.
    """
    name, device = device_of(int(_NAME.fullmatch(str(path))[1]))  # type: ignore[index]
    return opened(Path(path), name, device=device)


def device_of(number: int) -> tuple[str, str]:
    """What FFmpeg calls a camera here, and its kind of device.

    Raises:
        InputError: On this system cameras have names.
    """
    if sys.platform.startswith("linux"):
        return f"/dev/video{number}", "v4l2"
    if sys.platform == "darwin":
        return str(number), "avfoundation"
    raise InputError(f"cameras are read by number on Linux and macOS; this is {sys.platform}: record to a file first")
