"""What needs no cluster: tasks by size, the ledger, the table, and addresses where no cluster answers."""

import os
import socket
import time

import fsspec
import numpy as np
import pandas
import pytest

from tests.cli.conftest import ttd_jax as ttd_jax
from ttd_jax import InputError
from ttd_jax.distributed import fuse_dataset
from ttd_jax.distributed.cluster import load_ray, told_when_lost
from ttd_jax.distributed.ledger import Ledger
from ttd_jax.distributed.run import Cluster, by_size, tasks_of
from ttd_jax.distributed.table import ResultTable
from ttd_jax.io.images import write_image
from ttd_jax.io.storage import Address


def test_a_size_changes_as_seldom_as_can_be():
    sizes = [(10, 10, 1), (20, 10, 3), (10, 10, 1), (20, 10, 1), (0, 0, 0), (10, 10, 1), (20, 10, 3)]
    sets = by_size([{"key": str(number)} for number in range(7)], sizes)
    tasks = tasks_of(sets, 2)
    assert [[one["key"] for one in task] for task in tasks] == [["3"], ["1", "6"], ["0", "2"], ["5"], ["4"]]
    assert all(len({one["size"] for one in task}) == 1 for task in tasks)


def test_the_ledger_tells_a_second_worker_what_the_first_has_done():
    ledger = Ledger()
    assert ledger.open("7", ["a", "b"]) == (0, {})
    ledger.done({"key": "a", "status": "fused"})
    assert ledger.open("7", ["a", "b"]) == (1, {"a": {"key": "a", "status": "fused"}})
    ledger.forget("a")
    assert ledger.open("8", ["a"]) == (0, {})
    assert [ledger.begin("b") for _ in range(3)] == [1, 2, 3]


@pytest.mark.parametrize("where", ["here", "elsewhere"])
def test_a_table_has_the_last_row_of_a_key_whatever_run_was_killed(where, tmp_path):
    folder = tmp_path if where == "here" else Address(f"memory://{tmp_path.name}")
    killed = ResultTable(folder)
    killed.add({"key": "b", "status": "failed", "error": "no such file"})
    killed.add({"key": "a", "status": "fused", "seconds": 1.5, "report": "{}"})
    killed._write_part()  # as after half a minute; then nothing more is heard of it
    again = ResultTable(folder)
    assert again.keys == {"a", "b"}
    again.add({"key": "b", "status": "fused", "seconds": 2.0})
    again.close()
    assert str(again.file) == f"{folder}/results.parquet"
    with fsspec.open(str(again.file)) as file:
        table = pandas.read_parquet(file)
    assert table.key.tolist() == ["a", "b"] and table.status.tolist() == ["fused", "fused"]
    assert table.seconds.tolist() == [1.5, 2.0] and table.error.isna().all()
    if where == "here":
        assert [path.name for path in tmp_path.iterdir()] == ["results.parquet"]


def closed_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def test_a_cluster_that_is_not_there_is_one_line(ttd_jax, tmp_path):
    for side in ("near", "far"):
        (tmp_path / side).mkdir()
        write_image(tmp_path / side / "1.png", np.eye(8))
    command = ["fuse", tmp_path / "near", tmp_path / "far", "-o", tmp_path / "out", "--backbone", "pyramid", "--ray"]
    for address, message in {
        f"127.0.0.1:{closed_port()}": "no Ray cluster answers at 127.0.0.1:",
        "127.0.0.1": "a Ray address is HOST:PORT or auto; got 127.0.0.1",
        "ray://head:10001": "a Ray address is HOST:PORT; got ray://head:10001: run the command on a machine of the",
    }.items():
        done = ttd_jax(*command, address)
        assert done.code == 2 and done.err.count("\n") == 1 and message in done.err, done.err
    assert not [*(tmp_path / "out").iterdir()]
    done = ttd_jax(*command[:-1], "--ray-workers", "2")
    assert (done.code, done.err.strip()) == (
        2, "ttd-jax: error: --ray-workers, --ray-cpus and --ray-gpus are for a cluster: add --ray",
    )  # fmt: skip
    done = ttd_jax(*command[:3], "-o", "s3://bucket/out", "--backbone", "pyramid")
    assert done.code == 2 and "s3://bucket/out is on other storage: add --ray" in done.err


def test_a_token_is_shown_to_clusters_that_ask_for_it(monkeypatch, tmp_path):
    """``ray start`` asks for the token that an earlier cluster left in the home folder."""
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.setenv(name, "")  # put back after the test
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    load_ray()
    assert "RAY_AUTH_MODE" not in os.environ
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("0" * 64)
    load_ray()
    assert os.environ.pop("RAY_AUTH_MODE") == "token"


def test_a_cluster_that_is_lost_is_told_once(capsys):
    with socket.create_server(("127.0.0.1", 0)) as head:
        address = f"127.0.0.1:{head.getsockname()[1]}"
        with told_when_lost(address, between=0.01):
            head.accept()[0].close()  # a look
        assert capsys.readouterr().err == ""
    with told_when_lost(address, between=0.01):
        said = ""
        while not said:
            time.sleep(0.01)
            said = capsys.readouterr().err
    assert said == f"ttd-jax: the cluster at {address} was lost: start again, what is done is kept\n"


def test_mistakes_cost_no_cluster(tmp_path):
    with pytest.raises(InputError, match="fusion takes two sources or more; got 1"):
        fuse_dataset([tmp_path], tmp_path / "out")
    with pytest.raises(InputError, match=r"workers are 1 or more, .* got 0, 1, 0"):
        Cluster(workers=0)
    (tmp_path / "sets.csv").write_text("visible,infrared\na.png,\n,b.png\n")
    with pytest.raises(InputError, match=r"sets\.csv lists no complete set of visible, infrared"):
        fuse_dataset(tmp_path / "sets.csv", tmp_path / "out")
    with pytest.raises(InputError, match=r"memory://a/1\.png is in the memory of this process"):
        (tmp_path / "sets.csv").write_text("visible,infrared\nmemory://a/1.png,memory://b/1.png\n")
        fuse_dataset(tmp_path / "sets.csv", tmp_path / "out", backbone="pyramid")
