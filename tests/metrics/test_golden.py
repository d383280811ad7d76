"""Every variant against values computed by the toolkits' own definitions in double precision."""

import json
from contextlib import contextmanager
from pathlib import Path

import jax
import numpy as np
import pytest

from ttd_jax.metrics import METRICS

pytestmark = pytest.mark.shared_data

SHARED = Path(__file__).parents[3] / "shared" / "data" / "metrics"
NAMES = {"Qpiella": "Qw", "MEF_SSIM": "MEF-SSIM"}
KEYS = [
    f"{name}/{variant}"
    for name, variants in {
        "EN": "shannon zoo",
        "CE": "tju_rms mean vifb zoo",
        "SCD": "sum",
        "SD": "population sample",
        "AG": "mean vifb",
        "EI": "skimage skimage_old vifb zoo",
        "SF": "mean vifb",
        "SSIM": "eval eval255 vifb lt matlab255 zoo",
        "MI": "eval bits lt vifb",
        "NMI": "hossny raw zoo",
        "CC": "mean",
        "MSE": "eval lt",
        "PSNR": "standard eval lt vifb",
        "RMSE": "standard joint vifb",
        "VIF": "vifp_sum vifp_mean han2013",
        "Qabf": "xydeas vifb petrovic zl",
        "Nabf": "kumar petrovic zoo",
        "Labf": "kumar",
        "Qcb": "vifb mefb",
        "Qcv": "vifb",
        "Qpiella": "Q Qw Qe_mefb",
        "MEF_SSIM": "multiscale single",
        "FMI": "none gradient edge dct wavelet",
    }.items()
    for variant in variants.split()
]


def synthetic():
    """The 64x80 triple of integer formulas that the golden file describes."""
    y, x = np.mgrid[:64, :80].astype(np.int64)
    a = 17 + (3 * x + 5 * y + ((x * x + 7 * y * y) // 11) % 37 + 40 * ((x // 9 + y // 7) % 2)) % 221
    b = 8 + (200 - (2 * x + y) % 181 + ((x * y) % 23) * 2) % 240
    f = np.clip((3 * a + 2 * b + 2) // 5 + 30 * ((x + 2 * y) % 5 == 0) - 20 * ((x * y) % 7 == 3), 3, 251)
    return f.astype(np.uint8), np.stack([a, b]).astype(np.uint8)


@pytest.fixture(scope="module")
def cases():
    golden = json.loads((SHARED / "golden.json").read_text())
    found = [(*synthetic(), golden["synthetic"]["64x80"]["metrics"])]
    with np.load(SHARED / "golden_gray_uint8.npz") as gray:
        for name, entry in golden["images"].items():
            pair = np.stack([gray[f"{name}_a"], gray[f"{name}_b"]])
            found.append((gray[f"{name}_f"], pair, entry["metrics"]))
    return found


def test_every_golden_value_is_tested(cases):
    for _, _, golden in cases:
        assert set(golden) == set(KEYS)


@contextmanager
def compiled_as_users_do(wanted):
    """With the optimizations that tests leave out, if wanted; for what computes longer than it compiles."""
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", before and not wanted)
    try:
        yield
    finally:
        jax.config.update("jax_disable_most_optimizations", before)


@pytest.mark.parametrize("double", [True, False], ids=["float64", "float32"])
@pytest.mark.parametrize("key", KEYS)
def test_golden(key, double, cases):
    name, variant = key.split("/")
    metric = METRICS[NAMES.get(name, name)]
    tolerance = 1e-9 if double else 1e-4
    for fused, sources, golden in cases:
        images = (fused, sources) if metric.needs_sources else (fused,)
        with jax.enable_x64(double), compiled_as_users_do(name == "FMI"):
            value = metric.function(*images, variant=variant)
        assert float(value) == pytest.approx(golden[key], rel=tolerance, abs=0), fused.shape
