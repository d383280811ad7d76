"""Batches over several devices: eight virtual ones in a process of its own."""

import os
import subprocess
import sys

import numpy as np

from ttd_jax import Fuser

SCRIPT = """
import sys
import jax, numpy as np
from ttd_jax import Fuser
from ttd_jax.engine.stack import stack_batch

assert len(jax.devices()) == 8
stacks = np.load(sys.argv[1])
results = {}
for weighting in ("loss", "static"):
    fuser = Fuser(weighting=weighting)
    results |= {f"{weighting} {n}": fuser.batch(stacks[:n]).image for n in (1, 11)}
    results[f"{weighting} weights"] = fuser.batch(stacks).weights
shared = fuser._programs.run(stack_batch(stacks[:8], fuser.backbone, "auto"))
assert len(shared.image.sharding.device_set) == 8, shared.image.sharding
np.savez(sys.argv[2], **results)
"""


def test_results_equal_those_of_one_device(tmp_path):
    stacks = np.random.default_rng(0).random((11, 2, 16, 20)).astype(np.float32)
    np.save(tmp_path / "stacks.npy", stacks)
    flags = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "stacks.npy"), str(tmp_path / "out.npz")],
        env=os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    got = np.load(tmp_path / "out.npz")
    for weighting in ("loss", "static"):
        expected = Fuser(weighting=weighting).batch(stacks)
        for n in (1, 11):
            np.testing.assert_allclose(got[f"{weighting} {n}"], expected.image[:n], atol=1e-6)
        np.testing.assert_allclose(got[f"{weighting} weights"], expected.weights, atol=1e-6)
