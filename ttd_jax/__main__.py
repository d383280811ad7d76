"""``python -m ttd_jax`` is ``ttd-jax``."""

import sys

from ttd_jax.cli import main

sys.exit(main())
