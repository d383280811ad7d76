"""Draws the figure of the README: near, far, the weight of the near image, and the fused image.

Run ``python examples/make_figure.py``; it writes ``docs/figures/quickstart.png``.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from ttd_jax import fuse

FOLDER = Path(__file__).parent
FIGURE = FOLDER.parent / "docs" / "figures" / "quickstart.png"


def main() -> None:
    """Fuses the focus pair and sets the images side by side."""
    paths = [FOLDER / "focus_near.png", FOLDER / "focus_far.png"]
    result = fuse(paths)
    assert result.weights is not None
    weight = np.rint(255 * result.weights[0]).astype(np.uint8)
    images = [*(np.asarray(Image.open(path)) for path in paths), np.repeat(weight[..., np.newaxis], 3, 2), result.image]
    row = Image.fromarray(np.hstack(images))
    row.resize((row.width // 2, row.height // 2), Image.Resampling.LANCZOS).save(FIGURE, optimize=True)


if __name__ == "__main__":
    main()
