"""Many sets on a real cluster: equal to one process, a worker killed in the middle, started again, what is wrong."""

import json
import os
import signal
import urllib.request
from collections import Counter
from dataclasses import dataclass

import fsspec
import jax
import numpy as np
import pandas
import pytest

from tests.cli.conftest import ttd_jax as ttd_jax
from ttd_jax import StaticWeighting, fuse
from ttd_jax.distributed import fuse_dataset
from ttd_jax.io import atomic
from ttd_jax.io.images import read_image, write_image

pytestmark = pytest.mark.usefixtures("cluster")
RNG = np.random.default_rng(0)
FIRST, SECOND = (24, 32), (32, 24)


def picture(size, dtype=np.uint8):
    return RNG.integers(0, np.iinfo(dtype).max + 1, size, dtype=dtype)


@pytest.fixture(scope="module")
def bucket(s3):
    """Pairs 0 to 5 of two sizes, in 16 bits; 6 is damaged, 7 is on one side only."""
    for number in range(8):
        for side in ("vis", "ir"):
            if (number, side) != (7, "ir"):
                size = (FIRST, SECOND)[number % 2]
                write_image(f"s3://pairs/{side}/{number}.png", picture(size, np.uint16))
    storage = fsspec.filesystem("s3")
    storage.pipe_file("pairs/vis/6.png", storage.cat_file("pairs/vis/6.png")[:90])
    return storage


def table_of(folder):
    with fsspec.open(f"{folder}/results.parquet") as file:
        return pandas.read_parquet(file).set_index("key")


def test_a_bucket_by_the_command(ttd_jax, bucket):
    sources = ["visible=s3://pairs/vis", "infrared=s3://pairs/ir"]
    command = ["fuse", *sources, "-o", "s3://pairs/fused", "--ray", "--ray-workers", "2", "--backbone", "pyramid"]
    done = ttd_jax(*command)
    lines = [line for line in done.err.splitlines() if not line.startswith("ttd-jax: fusing: ")]  # one a minute
    assert (done.code, done.out) == (1, "s3://pairs/fused: 6 fused, 2 failed\n")
    assert lines[0] == "ttd-jax: failed: 7: missing in s3://pairs/ir"
    assert lines[1].startswith("ttd-jax: failed: 6: s3://pairs/vis/6.png is damaged, truncated or no image: ")
    assert len(lines) == 2
    for number in range(6):
        pair = {side: f"s3://pairs/{folder}/{number}.png" for side, folder in (("visible", "vis"), ("infrared", "ir"))}
        np.testing.assert_array_equal(
            read_image(f"s3://pairs/fused/{number}.png").pixels, fuse(pair, backbone="pyramid").image
        )  # the same program on the same pixels
    table = table_of("s3://pairs/fused")
    assert list(table.index) == [str(number) for number in range(8)]
    assert Counter(table.status) == {"fused": 6, "failed": 2}
    assert table.seconds[:6].min() > 0 and table.seconds[6:].isna().all()
    report = json.loads(table.report["0"])
    assert report["reference"] == "visible" and report["dtype"] == "uint16" and report["backbone"] == "pyramid"
    assert sorted(name.rpartition("/")[2] for name in bucket.find("pairs/fused")) == [
        *(f"{number}.png" for number in range(6)),
        "results.parquet",
    ]

    # again: what is there stays as it is, what is missing is done, and the table has one row a key
    written = {name: bucket.info(name)["LastModified"] for name in bucket.find("pairs/fused")}
    bucket.rm_file("pairs/fused/3.png")
    write_image("s3://pairs/ir/7.png", picture(SECOND, np.uint16))
    done = ttd_jax(*command, "--skip-existing", "--ray-workers", "1")
    assert (done.code, done.out) == (1, "s3://pairs/fused: 2 fused, 1 failed\n")
    assert done.err.endswith("ttd-jax: note: 5 already there\n")
    bucket.invalidate_cache()
    kept = [f"pairs/fused/{number}.png" for number in (0, 1, 2, 4, 5)]
    assert [bucket.info(name)["LastModified"] for name in kept] == [written[name] for name in kept]
    table = table_of("s3://pairs/fused")
    assert list(table.index) == [str(number) for number in range(8)]
    assert Counter(table.status) == {"fused": 7, "failed": 1}


@pytest.fixture
def pairs(tmp_path):
    for number in range(8):
        for side in ("near", "far"):
            (tmp_path / side).mkdir(exist_ok=True)
            write_image(tmp_path / side / f"{number}.png", picture((FIRST, SECOND)[number % 2]))
    return tmp_path


def test_a_killed_workers_sets_are_done_by_another(pairs):
    rows = []

    def on_row(row):
        rows.append(row)
        if len(rows) == 1:
            killed = int(row["worker"].rpartition(":")[2])
            os.kill(killed, signal.SIGKILL)
            (pairs / "out" / f".7-{atomic._machine()}-{killed}-abcd1234.png").touch()  # as if while it wrote

    found = fuse_dataset([pairs / "near", pairs / "far"], pairs / "out", backbone="pyramid", workers=2, on_row=on_row)
    assert (found.fused, found.kept, found.failed) == (8, 0, {})
    assert sorted(row["key"] for row in rows) == [str(number) for number in range(8)]
    table = table_of(pairs / "out")
    assert list(table.index) == [str(number) for number in range(8)] and set(table.status) == {"fused"}
    assert len(set(table.worker)) > 1
    for number in range(8):
        sources = [pairs / side / f"{number}.png" for side in ("near", "far")]
        np.testing.assert_array_equal(
            read_image(pairs / "out" / f"{number}.png").pixels, fuse(sources, backbone="pyramid").image
        )
    assert sorted(path.name for path in (pairs / "out").iterdir()) == [
        *(f"{number}.png" for number in range(8)),
        "results.parquet",
    ]


@jax.tree_util.register_static
@dataclass(frozen=True)
class Deadly(StaticWeighting):
    """Ends the process that fuses pictures as high as wide, and errs in ways of its own on those 20 rows high."""

    def check(self, model, variables, shape):
        if shape[1] == shape[2]:
            os._exit(1)
        if shape[1] == 20:
            raise KeyError("no message of ours")


def test_a_set_that_ends_workers_is_a_row_and_so_is_any_error(pairs):
    write_image(pairs / "near" / "2.png", picture((32, 32)), overwrite=True)
    write_image(pairs / "far" / "2.png", picture((32, 32)), overwrite=True)
    for side in ("near", "far"):
        write_image(pairs / side / "3.png", picture((20, 30)), overwrite=True)
    manifest = pairs / "sets.parquet"
    pandas.DataFrame(
        {"name": ["a/0", "a/2", "3", "5", None], "near": [f"near/{n}.png" for n in (0, 2, 3, 5)] + [None],
         "far": [f"far/{n}.png" for n in (0, 2, 3)] + ["nowhere.png", None]}
    ).to_parquet(manifest)  # fmt: skip
    found = fuse_dataset(manifest, pairs / "out", backbone="pyramid", weighting=Deadly(), workers=1)
    assert (found.fused, found.kept) == (1, 0)
    assert found.failed.pop("a/2") == "3 workers were lost by it: is there enough memory for each?"
    assert found.failed == {
        "set 5": "missing in near, far",
        "3": "KeyError: 'no message of ours'",
        "5": f"cannot read {pairs / 'nowhere.png'}: No such file or directory",
    }
    assert (pairs / "out" / "a" / "0.png").exists()
    assert Counter(table_of(pairs / "out").status) == {"fused": 1, "failed": 4}


def test_a_bucket_that_denies(ttd_jax, s3, pairs):
    def ask_for_credentials(after):
        plain = {"Content-Type": "text/plain"}  # what urllib says otherwise would make a form of it
        request = urllib.request.Request(f"{s3}/moto-api/reset-auth", data=after, headers=plain)
        urllib.request.urlopen(request).close()

    command = ["fuse", pairs / "near", pairs / "far", "--ray", "--backbone", "pyramid", "-o"]
    ask_for_credentials(b"0")
    try:
        done = ttd_jax(*command, "s3://pairs/denied")
    finally:
        ask_for_credentials(b"inf")
    assert done.code == 2 and done.err.count("\n") == 1
    assert "s3://pairs/denied" in done.err and "access is denied" in done.err
    assert not fsspec.filesystem("s3").exists("s3://pairs/denied")
    done = ttd_jax(*command, "s3://nowhere/fused")
    assert done.code == 2 and done.err.count("\n") == 1 and "s3://nowhere/fused" in done.err
