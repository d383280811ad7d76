"""An exported fusion in Debian's Chromium, by the page among the examples."""

import numpy as np
import pytest

from benchmarks.browser import CHROMIUM, chromium, fuse_in, web_package
from ttd_jax import Fuser
from ttd_jax.export import export_fuser
from ttd_jax.io.images import read_image, write_image

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium"),
    pytest.mark.skipif(web_package() is None, reason="no onnxruntime-web: npm install onnxruntime-web"),
]


def test_the_page_fuses_as_we_do(tmp_path):
    rng, fuser, program = np.random.default_rng(), Fuser("bandnet"), tmp_path / "fuse.onnx"
    export_fuser(fuser, program, format="onnx", size=(24, 33))
    files = [tmp_path / f"{name}.png" for name in ("near", "far")]
    smooth = np.add.outer(np.arange(24) * 5, np.arange(33) * 3)
    for file in files:
        write_image(file, (smooth + rng.integers(0, 8, smooth.shape)).astype(np.uint8))
    with chromium() as browser:
        image, _ = fuse_in(browser, program, files)
    own = fuser([read_image(file).pixels.astype(np.float32) / 255 for file in files]).image
    np.testing.assert_allclose(image.reshape(own.shape), own, atol=1e-5)
