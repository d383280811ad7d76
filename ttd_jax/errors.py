"""The errors a user can cause. Each message says what was expected, what was got and what to do."""


class InputError(ValueError):
    """Sources, options or output files that cannot be used; the command line exits with 2.

    Example:
        >>> from ttd_jax import fuse
        >>> try:
        ...     fuse(["day.png"])
        ... except InputError as error:
        ...     print(error)
        fusion takes two sources or more; got 1
    """


class CheckpointError(ValueError):
    """A checkpoint or PyTorch file that cannot be used; the command line exits with 3.

    Example:
        >>> from ttd_jax import load_backbone
        >>> try:
        ...     load_backbone("ifcnn", "missing")
        ... except CheckpointError as error:
        ...     print(error)
        no checkpoint at missing: expected a folder with manifest.json
    """


_LONGEST_NAME = _LONGEST_REASON = 200


def reason(error: BaseException) -> str:
    """What an error of a library says, in one line; its kind where it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0][:_LONGEST_REASON] if lines else type(error).__name__


def shown(name: str) -> str:
    """A name from a file as it may be printed: on one line, without control characters, not too long."""
    name = name[: _LONGEST_NAME + 1] + "..." if len(name) > _LONGEST_NAME + 4 else name
    name = name if name.isprintable() else ascii(name)[1:-1]
    return name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}..."
