"""Packages that come with extras, imported when they are needed."""

from importlib import import_module
from typing import Any

from ttd_jax.errors import InputError


def load(package: str, extra: str, what: str) -> Any:
    """A package.

    Args:
        package: What is imported.
        extra: The extra of this package that installs it.
        what: What it is needed for.

    Raises:
        InputError: It is not installed.
    """
    try:
        return import_module(package)
    except ImportError:
        raise InputError(f"{what} needs {package}: pip install 'ttd-jax[{extra}]'") from None
