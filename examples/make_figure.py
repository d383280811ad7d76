"""Draws the picture of the README: four tasks, of each two sources, the weight of the second, and the fused image.

Run ``python examples/make_figure.py``; it writes ``docs/figures/tasks.jpg``.
"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ttd_jax import fuse

FOLDER = Path(__file__).parent
FIGURE = FOLDER.parent / "docs" / "figures" / "tasks.jpg"
TASKS = {
    "exposure": ("under", "normal", "over"),
    "focus": ("near", "far"),
    "night": ("visible", "infrared"),
    "head": ("mri", "pet"),
}
WIDTH, HEIGHT, GAP, TITLE = 316, 204, 4, 20


def tile(image: Image.Image) -> Image.Image:
    """The middle of an image, scaled to the size of a tile."""
    scale = max(WIDTH / image.width, HEIGHT / image.height)
    size = round(image.width * scale), round(image.height * scale)
    left, top = (size[0] - WIDTH) // 2, (size[1] - HEIGHT) // 2
    scaled = image.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    return scaled.crop((left, top, left + WIDTH, top + HEIGHT))


def row(task: str, roles: tuple[str, ...]) -> dict[str, Image.Image]:
    """The tiles of one task by title; of three sources the first and the last."""
    paths = {role: FOLDER / f"{task}_{role}.png" for role in roles}
    result = fuse(paths)
    assert result.weights is not None
    weight = Image.fromarray(np.rint(255 * result.weights[-1]).astype(np.uint8))
    shown = {role: Image.open(paths[role]) for role in (roles[0], roles[-1])}
    return shown | {f"weight of {roles[-1]}": weight, "fused": Image.fromarray(result.image)}


def main() -> None:
    """Fuses the four sets and sets the images side by side."""
    page = Image.new("RGB", (4 * (WIDTH + GAP) - GAP, 4 * (HEIGHT + TITLE + GAP) - GAP), "white")
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(14)
    for y, (task, roles) in enumerate(TASKS.items()):
        for x, (title, image) in enumerate(row(task, roles).items()):
            left, top = x * (WIDTH + GAP), y * (HEIGHT + TITLE + GAP)
            draw.text((left + 2, top + 2), title, "black", font)
            page.paste(tile(image), (left, top + TITLE))
    page.save(FIGURE, quality=85, optimize=True)


if __name__ == "__main__":
    main()
