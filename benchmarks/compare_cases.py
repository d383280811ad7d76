"""What ``benchmarks.compare`` times. As a program it is one case in one checkout, which may be older than this file.

So it uses what every version of the package has: ``Fuser``, the table of backbones, ``evaluate``, the command.
"""

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

Run = Callable[[], dict[str, float] | None]
"""A run of a case; it measures itself if it is not this process that works."""


class Case(NamedTuple):
    """A case: what it is, how it is made ready for images of a height and a width, and whether it takes long."""

    what: str
    prepare: Callable[[int, int], Run]
    long: bool = False


def fusion(name: str, weighting: str, channels: int = 1, *, share: int = 1) -> Callable[[int, int], Run]:
    """A pair through a warm ``Fuser``; of an image whose sides are ``share`` times as short."""

    def prepare(height: int, width: int) -> Run:
        from ttd_jax import Fuser

        fuser = Fuser(random_backbone(name) if name != "default" else None, weighting=weighting)
        shape = (height // share, width // share, *((3,) if channels == 3 else ()))
        pair: Any = [scene(shape, seed) for seed in (1, 2)]
        roles = ROLES.get(name)
        sources = pair if roles is None else dict(zip(roles, pair, strict=True))
        return lambda: _nothing(fuser(sources))

    return prepare


ROLES = {"piafusion": ("visible", "infrared")}
"""Of networks that do not take their sources by order."""


def compilation(name: str) -> Callable[[int, int], Run]:
    """Tracing and compiling for a pair."""

    def prepare(height: int, width: int) -> Run:
        import jax

        from ttd_jax import Fuser

        backbone = random_backbone(name) if name != "default" else Fuser().backbone

        def run() -> None:
            jax.clear_caches()
            Fuser(backbone).compile((2, height, width))

        return run

    return prepare


def measures(height: int, width: int) -> Run:
    """All metrics of one image."""
    from ttd_jax.metrics import evaluate

    sources = [scene((height, width), seed) for seed in (1, 2)]
    fused = (sources[0] // 2 + sources[1] // 2).astype("uint8")
    return lambda: _nothing(evaluate(fused, sources))


def command(channels: int = 1, *, scale: float = 1, ending: str = "png", cached: bool = True) -> Any:
    """``ttd-jax fuse`` of two files, from the start of a process to its end; after the first time with a warm cache."""

    def prepare(height: int, width: int) -> Run:
        from ttd_jax.io.images import write_image

        shape = (round(height * scale), round(width * scale), *((3,) if channels == 3 else ()))
        names = [f"{name}.{ending}" for name in ("first", "second")]
        for seed, name in enumerate(names):
            write_image(Path(name), scene(shape, seed))
        arguments = ["fuse", *names, "-o", f"fused.{ending}"] + ([] if cached else ["--no-compile-cache"])
        return partial(_process, [sys.executable, "-m", "ttd_jax", *arguments], Path(f"fused.{ending}"))

    return prepare


def _process(arguments: list[str], output: Path) -> dict[str, float]:
    output.unlink(missing_ok=True)
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"the command ended with {status}")
    return {"processor": used.ru_utime + used.ru_stime, "peak": used.ru_maxrss / 1e3}


def convolution(height: int, width: int) -> Run:
    """A 3x3 convolution of 64 channels in XLA, by which the machine's speed is divided out of stored figures."""
    import jax
    import jax.numpy as jnp

    layout = ("NHWC", "HWIO", "NHWC")
    image, kernel = jnp.ones((1, height, width, 64)), jnp.full((3, 3, 64, 64), 0.01)
    run = jax.jit(lambda x, k: jax.lax.conv_general_dilated(x, k, (1, 1), "SAME", dimension_numbers=layout))
    return lambda: _nothing(jax.block_until_ready(run(image, kernel)))


def _nothing(result: Any) -> None:
    """Drops the result of a run whose time is taken outside."""


REFERENCE = "convolution"

CASES = {
    REFERENCE: Case("a 3x3 convolution of 64 channels in XLA: none of our code", convolution),
    "default": Case("grey pair, network of the package", fusion("default", "loss")),
    "default colour": Case("colour pair, network of the package", fusion("default", "loss", 3)),
    "pyramid": Case("grey pair, classical pyramid", fusion("pyramid", "loss")),
    "ifcnn static": Case("grey pair", fusion("ifcnn", "static")),
    "ifcnn": Case("grey pair, default weights", fusion("ifcnn", "loss")),
    "ifcnn colour": Case("colour pair, default weights", fusion("ifcnn", "loss", 3)),
    "ifcnn gradient": Case("grey pair at half the size, weights by gradients", fusion("ifcnn", "gradient", share=2)),
    "cddfuse": Case("grey pair at half the size, default weights", fusion("cddfuse", "loss", share=2)),
    "piafusion": Case("grey pair at half the size, default weights", fusion("piafusion", "loss", share=2)),
    "mgdn": Case("grey pair at half the size", fusion("mgdn", "static", share=2)),
    "densefuse": Case("grey pair at half the size, default weights", fusion("densefuse", "loss", share=2)),
    "metrics": Case("all metrics of one image", measures),
    "compile default": Case("tracing and compiling for a grey pair", compilation("default")),
    "compile ifcnn": Case("tracing and compiling for a grey pair", compilation("ifcnn")),
    "command": Case("ttd-jax fuse of a grey pair, what is compiled is there", command()),
    "command cold": Case("the same without the cache of compiled programs", command(cached=False)),
    "command colour": Case("ttd-jax fuse of a colour pair", command(3)),
    "command large": Case("ttd-jax fuse of a colour pair, sides 6.25 times as long", command(3, scale=6.25), long=True),
}
"""By name."""


def scene(shape: tuple[int, ...], seed: int) -> Any:
    """An image of uint8 with something in every band, and noise."""
    import numpy as np

    rng = np.random.default_rng(seed)
    image = rng.normal(128, 4, shape)
    for step in (4, 16, 64):
        small = rng.normal(0, 30, (shape[0] // step + 1, shape[1] // step + 1, *shape[2:]))
        image += small.repeat(step, axis=0).repeat(step, axis=1)[: shape[0], : shape[1]]
    return np.clip(image, 0, 255).astype(np.uint8)


def random_backbone(name: str) -> Any:
    """A network with random parameters, in whatever way this checkout makes one."""
    import jax
    import numpy as np

    from ttd_jax.backbones import BACKBONES
    from ttd_jax.backbones.spec import Backbone

    spec: Any = BACKBONES[name].of_preset(None)
    model = spec.build(**spec.presets[spec.default_preset])
    rng = np.random.default_rng(0)

    def draw(path: Any, leaf: Any) -> Any:
        if path[-1].key.endswith("kernel"):
            return rng.normal(0, np.prod(leaf.shape[:-1]) ** -0.5, leaf.shape).astype(leaf.dtype)
        low, high = (0.5, 1.5) if path[-1].key in ("scale", "var") else (-0.1, 0.1)
        return rng.uniform(low, high, leaf.shape).astype(leaf.dtype)

    drawn = jax.tree_util.tree_map_with_path(draw, spec.abstract(model)) if getattr(spec, "parameters", True) else {}
    variables = jax.tree.map(jax.numpy.asarray, drawn)
    takes = {field.name for field in dataclasses.fields(Backbone)}
    if "spec" in takes:
        return Backbone(spec, model, variables)
    shared = {field: getattr(spec, field) for field in takes if hasattr(spec, field)}
    return Backbone(**shared | {"name": name, "model": model, "variables": variables})


def watch() -> dict[str, float]:
    """Counts, from now on, of the programs that this process compiles, and the memory that the largest fusion plans.

    ``between`` is that memory, in MB: of arrays that are neither arguments nor results.
    """
    import jax

    from ttd_jax.engine import programs

    found = {"programs": 0.0, "between": 0.0}
    check_memory: Any = programs.check_memory

    def checked(program: Any, *arguments: Any, **options: Any) -> Any:
        found["between"] = max(found["between"], program.memory_analysis().temp_size_in_bytes / 1e6)
        return check_memory(program, *arguments, **options)

    def count(event: str, *_: Any, **__: Any) -> None:
        found["programs"] += event == "/jax/core/compile/backend_compile_duration"

    programs.check_memory = checked
    jax.monitoring.register_event_duration_secs_listener(count)
    return found


def main() -> None:
    """One case: ready after its first run, then once for every line."""
    checkout, case, height, width = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    import ttd_jax

    if Path(ttd_jax.__file__).parents[1] != Path(checkout):
        sys.exit(f"ttd_jax is of {Path(ttd_jax.__file__).parents[1]}, not of {checkout}")
    answers, out = sys.stdout, contextlib.redirect_stdout(sys.stderr)
    with out:
        run = CASES[case].prepare(height, width)
        seen = watch()
        run()
        print("answer {}", file=answers, flush=True)
        for _ in sys.stdin:
            started = time.process_time()
            found = run() or {"processor": time.process_time() - started}
            print(f"answer {json.dumps(seen | found)}", file=answers, flush=True)


if __name__ == "__main__":
    main()
