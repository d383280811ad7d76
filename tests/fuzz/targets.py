"""What is tried on a mutated file: it is read, or refused by one line of ours; nothing else may happen."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from tests.fuzz import further, seeds
from tests.fuzz.mutate import mutated

LONGEST = 3000  # characters of a message


def try_image(name: str, data: bytes, folder: Path) -> None:
    """Reads one image file."""
    from ttd_jax.errors import InputError
    from ttd_jax.io.images import read_image

    path = folder / name
    path.write_bytes(data)
    try:
        pixels = read_image(path).pixels
    except InputError as error:
        _check_message(str(error))
        return
    assert pixels.ndim in (2, 3), pixels.shape


def try_torch_file(name: str, data: bytes, folder: Path) -> None:
    """Reads one PyTorch file."""
    from convert.torch_file import read_torch_file
    from ttd_jax.errors import CheckpointError

    path = folder / name
    path.write_bytes(data)
    try:
        tensors = read_torch_file(path)
    except CheckpointError as error:
        _check_message(str(error))
        return
    assert all(isinstance(key, str) and key.isprintable() for key in tensors)


def try_checkpoint(name: str, data: bytes, folder: Path) -> None:
    """Loads a checkpoint folder in which one file is changed."""
    import jax

    from ttd_jax.errors import CheckpointError
    from ttd_jax.io.checkpoints import load_variables, read_manifest

    path = folder / "seed" / name
    kept = path.read_bytes()
    shape = jax.ShapeDtypeStruct
    abstract = {"params": {"a": {"bias": shape((2,), np.float32), "kernel": shape((3, 3, 1, 2), np.float32)}}}
    path.write_bytes(data)
    try:
        read_manifest(folder / "seed")
        variables = load_variables(folder / "seed", abstract)
        np.testing.assert_array_equal(variables["params"]["a"]["kernel"], 1)
    except CheckpointError as error:
        _check_message(str(error))
    finally:
        path.write_bytes(kept)


def _check_message(text: str) -> None:
    assert "\n" not in text and len(text) < LONGEST, text


def _checked(attempt: Callable[[str, bytes, Path], str]) -> Callable[[str, bytes, Path], None]:
    """Also looks at the message, which is empty where the file was read."""

    def checked(name: str, data: bytes, folder: Path) -> None:
        _check_message(attempt(name, data, folder))

    return checked


KINDS: dict[str, tuple[Callable, Callable]] = {
    "images": (seeds.images, try_image),
    "torch": (seeds.torch_files, try_torch_file),
    "folders": (seeds.checkpoint, try_checkpoint),
    **{kind: (make, _checked(attempt)) for kind, (make, attempt) in further.KINDS.items()},
}
"""Seeds and what is tried, by kind."""


def cases(kind: str, folder: Path, first: int, count: int) -> Iterator[tuple[int, str, Callable[[], None]]]:
    """Seed, name and trial of ``count`` files, beginning with one seed."""
    make, attempt = KINDS[kind]
    files = make(folder)
    names = sorted(files)
    for seed in range(first, first + count):
        name = names[seed % len(names)]
        data = mutated(files[name], seed)
        yield seed, name, partial(attempt, name, data, folder)
