"""A backbone of one's own in a package of its own: found, saved, loaded by name, converted, used from the command."""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from tests.convert.writer import save_zip, tensor
from ttd_jax.io.images import read_image, write_image

EXAMPLE = Path(__file__).parents[1] / "examples" / "ttd_jax_blur"

SCRIPT = """
import sys
import jax, jax.numpy as jnp
from ttd_jax import Backbone, load_backbone, save_backbone
from ttd_jax.backbones import find_spec
from ttd_jax.cli import main
from ttd_jax_convert.from_torch import main as convert

spec = find_spec("blur")
model = spec.build()
save_backbone(Backbone(spec, model, model.network.init(jax.random.key(0), jnp.zeros((1, 8, 8, 1)))), "mine")
loaded = load_backbone(checkpoint="mine")
assert loaded.spec == spec and loaded.model == model and loaded.recipes == spec.recipes
assert main(["fuse", "a.png", "b.png", "--checkpoint", "mine", "-o", "fused.png", "--no-compile-cache"]) == 0
assert convert(["blur", "blur.pth", "--preset", "small", "--output", "converted"]) == 0
assert load_backbone("blur", "converted").variables["params"]["head"]["bias"].tolist() == [0.5]
assert main(["info", "--json", "--no-compile-cache"]) == 0
"""


@pytest.fixture
def installed(tmp_path):
    """The package as an installer leaves it, by what its pyproject says; and pictures to fuse."""
    site = tmp_path / "site"
    shutil.copytree(EXAMPLE / "ttd_jax_blur", site / "ttd_jax_blur")
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    about = site / "ttd_jax_blur-0.1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    lines = []
    for group, points in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {where}" for name, where in points.items())]
    (about / "entry_points.txt").write_text("\n".join(lines) + "\n")
    rng = np.random.default_rng(0)
    for name in ("a.png", "b.png"):
        write_image(tmp_path / name, rng.integers(0, 256, (20, 24), dtype=np.uint8))
    shapes = {"filters.weight": (4, 1, 5, 5), "filters.bias": (4,), "head.weight": (1, 4, 3, 3), "head.bias": (1,)}
    save_zip(tmp_path / "blur.pth", {k: tensor(np.full(shape, 0.5, np.float32)) for k, shape in shapes.items()})
    return tmp_path, os.environ | {"PYTHONPATH": os.pathsep.join([str(site), *sys.path]), "JAX_PLATFORMS": "cpu"}


def test_the_example_is_a_backbone_like_the_others(installed):
    folder, environment = installed
    done = subprocess.run([sys.executable, "-c", SCRIPT], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout.splitlines()[-1])
    (row,) = [row for row in facts["backbones"] if row["name"] == "blur"]
    assert (row["parameters"], row["presets"], row["static_rule"]) == (141, ["small", "large"], "mean")
    assert read_image(folder / "fused.png").pixels.shape == (20, 24)
    assert json.loads((folder / "mine" / "manifest.json").read_text())["recipes"]["default"]["scale"] == 2.0


def test_a_package_that_cannot_be_imported_is_named(installed):
    folder, environment = installed
    (folder / "site" / "ttd_jax_blur" / "__init__.py").write_text("import nothing_like_that\n")
    script = "from ttd_jax import fuse; fuse(['a.png', 'b.png'], backbone='blur', checkpoint='mine')"
    (folder / "mine").mkdir()
    (folder / "mine" / "manifest.json").write_text('{"format": 1, "backbone": "blur", "config": {}, "sha256": "0"}')
    done = subprocess.run([sys.executable, "-c", script], cwd=folder, env=environment, capture_output=True, text=True)
    assert "the entry point blur = ttd_jax_blur:SPEC of ttd_jax.backbones cannot be loaded (ModuleNotFoundError" in (
        done.stderr
    )
