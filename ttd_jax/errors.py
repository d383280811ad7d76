"""The errors a user can cause. Each message says what was expected, what was got and what to do."""


class InputError(ValueError):
    """Sources, options or output files that cannot be used; the command line exits with 2."""


class CheckpointError(ValueError):
    """A checkpoint or PyTorch file that cannot be used; the command line exits with 3."""


_LONGEST_NAME = 200


def shown(name: str) -> str:
    """A name from a file as it may be printed: on one line, without control characters, not too long."""
    name = name[: _LONGEST_NAME + 1] + "..." if len(name) > _LONGEST_NAME + 4 else name
    name = name if name.isprintable() else ascii(name)[1:-1]
    return name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}..."
