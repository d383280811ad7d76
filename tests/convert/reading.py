"""What the reader of PyTorch files says of one that it refuses."""

from pathlib import Path

import pytest

from convert.torch_file import read_torch_file
from ttd_jax.errors import CheckpointError


def refused(path: Path) -> str:
    """The message, which is one line that begins with the file's path."""
    with pytest.raises(CheckpointError) as caught:
        read_torch_file(path)
    message = str(caught.value)
    assert message.startswith(str(path)) and "\n" not in message
    return message
