"""Both layouts of PyTorch files, in turn."""

import pytest

from tests.convert.writer import SAVERS


@pytest.fixture(params=SAVERS)
def save(request, tmp_path):
    """Writes a root as a file of one layout; gives its path."""
    return lambda root: SAVERS[request.param](tmp_path / "file.pth", root)
