"""Batches over several devices: eight virtual ones in a process of its own."""

import os
import subprocess
import sys

import numpy as np

SCRIPT = """
import sys
import jax, numpy as np
from tests.networks import ifcnn_backbone, ifcnn_variables
from ttd_jax import Fuser

assert len(jax.devices()) == 8
stacks = np.load(sys.argv[1])
fusers = {"ttdnet": Fuser(), "static": Fuser(weighting="static"), "ifcnn": Fuser(ifcnn_backbone(ifcnn_variables()))}
results = {}
for name, fuser in fusers.items():
    results |= {f"{name} {n}": fuser.batch(stacks[:n]).image for n in (1, 3, 11)}
    results[f"{name} again"] = fuser.batch(stacks[::-1]).image[::-1]
shards = fusers["ttdnet"]._programs.launch_batch(stacks[:8, ..., np.newaxis], "gray", [False] * 2)
np.savez(sys.argv[2], **results)
"""


def test_results_equal_those_of_one_device(tmp_path):
    from tests.networks import ifcnn_backbone, ifcnn_variables
    from ttd_jax import Fuser

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
    alone = {
        "ttdnet": Fuser(),
        "static": Fuser(weighting="static"),
        "ifcnn": Fuser(ifcnn_backbone(ifcnn_variables())),
    }
    for name, fuser in alone.items():
        expected = fuser.batch(stacks).image
        for case in ("1", "3", "11", "again"):
            image = got[f"{name} {case}"]
            np.testing.assert_allclose(image, expected[: len(image)], atol=1e-6)
