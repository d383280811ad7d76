"""The convention "tang-published" against the values that a toolkit published for eight pairs of TNO."""

import csv
from pathlib import Path

import imageio.v3 as iio
import jax
import numpy as np
import pytest

from ttd_jax.metrics import evaluate

pytestmark = pytest.mark.shared_data

SHARED = Path(__file__).parents[3] / "shared" / "data" / "metrics"
METRICS = ["EN", "SD", "AG", "SF", "SCD", "CC", "MI", "PSNR", "MSE", "VIF"]


def gray(folder, stem):
    """A grey uint8 image; colour by MATLAB's rgb2gray, which rounds halves up."""
    (path,) = (SHARED / "tno" / folder).glob(f"{stem}.*")
    image = iio.imread(path)
    if image.ndim == 2:
        return image
    weights = [0.298936021293775, 0.587043074451121, 0.114020904255103]
    return np.floor(image[..., :3] @ np.array(weights) + 0.5).astype(np.uint8)


@pytest.fixture(scope="module")
def published():
    with (SHARED / "published_tno.csv").open() as file:
        return {(r["method"], r["image"], r["metric"]): float(r["value"]) for r in csv.DictReader(file)}


@pytest.mark.parametrize("stem", [f"{i:02d}" for i in range(1, 9)])
def test_published_values(stem, published):
    infrared, visible = gray("infrared", stem), gray("visible", stem)
    for method in ["IFCNN", "PIAFusion", "SeAFusion", "U2Fusion"]:
        fused = gray(f"fused/{method}", stem)
        with jax.enable_x64(True):
            values = evaluate(fused, [infrared, visible], convention="tang-published")
        assert sorted(values) == sorted(METRICS)
        for name, value in values.items():
            assert value == pytest.approx(published[method, stem, name], rel=1e-9), (method, name)
