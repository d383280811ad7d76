"""The errors a user can cause. Each message says what was expected, what was got and what to do."""


class InputError(ValueError):
    """Sources, options or output files that cannot be used; the command line exits with 2."""


class CheckpointError(ValueError):
    """A checkpoint or PyTorch file that cannot be used; the command line exits with 3."""
