"""The example pictures, wherever this package is installed, as the page offers them."""

from pathlib import Path
from typing import NamedTuple

FOLDERS = (Path(__file__).parent / "examples", Path(__file__).parents[2] / "examples")
"""Where they lie: in the installed package, in a checkout."""


class Example(NamedTuple):
    """A set of pictures: what it is called, their names, and their roles as the page names them."""

    title: str
    names: tuple[str, ...]
    roles: str


EXAMPLES = (
    Example(
        "Exposure bracket", ("exposure_under.png", "exposure_normal.png", "exposure_over.png"), "under, normal, over"
    ),
    Example("Focus stack", ("focus_near.png", "focus_far.png"), "near, far"),
    Example("Night and heat", ("night_visible.png", "night_infrared.png"), "visible, infrared"),
    Example("MRI and PET", ("head_mri.png", "head_pet.png"), "mri, pet"),
)
"""The sets there are."""


def example_paths(example: Example) -> list[Path]:
    """The files of a set.

    Args:
        example: One of ``EXAMPLES``.

    Raises:
        FileNotFoundError: This installation lacks one.

    Example:
        >>> [path.name for path in example_paths(EXAMPLES[1])]
        ['focus_near.png', 'focus_far.png']
    """
    found = [next((f / name for f in FOLDERS if (f / name).is_file()), None) for name in example.names]
    if None in found:
        raise FileNotFoundError(f"this installation has no {example.names[found.index(None)]}")
    return [path for path in found if path is not None]
