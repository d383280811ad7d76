"""The service as programs meet it: results, refusals, bounds, and nothing left behind."""

import io
import json
import socket
import threading
import time
import zipfile
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.serve.conftest import left_over, served
from ttd_jax import fuse
from ttd_jax.io.images import read_image
from ttd_jax.serve.app import create_app
from ttd_jax.serve.guard import Guard
from ttd_jax.serve.limits import Limits
from ttd_jax.serve.work import Work


def form(folder, *names, field="sources"):
    """Files of a request, by the field of each."""
    return [
        (name if field is None else field, (f"{name}.png", (folder / f"{name}.png").read_bytes())) for name in names
    ]


def opened(content, tmp_path, name="answer.png"):
    (tmp_path / name).write_bytes(content)
    return read_image(tmp_path / name).pixels


def test_an_image_is_what_fuse_makes_to_the_last_bit(client, pictures, tmp_path):
    answer = client.post("/fuse", files=form(pictures, "near", "far"))
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    expected = fuse([pictures / "near.png", pictures / "far.png"], backbone="pyramid")
    found = opened(answer.content, tmp_path)
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found, expected.image)
    assert {part.partition(";")[0] for part in answer.headers["server-timing"].split(", ")} == {"read", "fuse", "write"}
    assert json.loads(answer.headers["x-remarks"]) == expected.report["remarks"]


def test_an_archive_holds_image_weights_and_report(client, pictures, tmp_path):
    files = {"visible": (pictures / "day.png").read_bytes(), "infrared": (pictures / "heat.png").read_bytes()}
    options = {"answer": "archive", "backbone": "pyramid", "recipe": "paper", "format": "tif"}
    answer = client.post("/fuse", files={role: ("a.png", one) for role, one in files.items()}, data=options)
    packed = zipfile.ZipFile(io.BytesIO(answer.content))
    assert packed.namelist() == ["fused.tif", "weights/1_visible.png", "weights/2_infrared.png", "report.json"]
    sources = {"visible": pictures / "day.png", "infrared": pictures / "heat.png"}
    expected = fuse(sources, backbone="pyramid", recipe="paper")
    np.testing.assert_array_equal(opened(packed.read("fused.tif"), tmp_path, "fused.tif"), expected.image)
    weights = opened(packed.read("weights/2_infrared.png"), tmp_path) / 65535
    np.testing.assert_allclose(weights, expected.weights[1], atol=1 / 65535)
    report = json.loads(packed.read("report.json"))
    assert report["weighting"] == expected.report["weighting"] and report["sources"] == ["visible", "infrared"]


MISTAKES = [
    ({"files": ("near", "text")}, 422, "text.png is no image: expected PNG, TIFF, JPEG, BMP or WebP"),
    ({"files": ("near", "empty")}, 422, "empty.png is empty: expected an image file"),
    ({"files": ("near", "cut")}, 422, "cut.png is damaged, truncated or no image: "),
    ({"files": ("near", "bomb")}, 422, "bomb.png is damaged, truncated or no image: Image size"),
    ({"files": ("near", "large")}, 422, "the sources of one fusion have 1 megapixels at most, together; got near.png"),
    ({"files": ("near", "wide")}, 422, "sources have one size; got near.png 32 x 24, wide.png 40 x 24"),
    ({"files": ("near",)}, 422, "fusion takes two sources or more; got 1"),
    ({"files": ()}, 422, "fusion takes two sources or more; got 0"),
    ({"files": ("near",) * 5}, 400, "Too many files. Maximum number of files is 4."),
    ({"colour": "rgb"}, 422, "options are backbone, weighting, "),
    ({"color": "pink"}, 422, "color is one of 'auto', 'gray', 'luma', 'rgb'; got 'pink'"),
    ({"backbone": "../../etc"}, 422, "backbones of this service are pyramid, mertens, bandnet; got '../../etc'"),
    ({"recipe": "none"}, 422, "recipes of pyramid are "),
    ({"range": "0"}, 422, "range takes two numbers, such as 0 4095; got '0'"),
    ({"range": "0 nan"}, 422, "range takes two numbers, such as 0 4095; got '0 nan'"),
    ({"quality": "9"}, 422, "a quality is for JPEG and WebP; fused.png is written as PNG: leave it out"),
    ({"quality": "٣"}, 422, "a quality is from 1 to 100; got '٣'"),
    ({"quality": "x" * 5000}, 400, "Part exceeded maximum size of 4KB."),
    ({"field": "visibel"}, 422, "each role comes once"),
    ({"field": "../x"}, 422, "each role comes once"),
]


@pytest.mark.parametrize(("given", "status", "message"), MISTAKES, ids=[m[2][:30] for m in MISTAKES])
def test_a_mistake_is_one_line_that_tells_nothing_of_the_server(client, pictures, given, status, message):
    options = {name: text for name, text in given.items() if name not in ("files", "field")}
    files = form(pictures, *given.get("files", ("near", "far")), field=given.get("field", "sources"))
    answer = client.post("/fuse", files=files, data=options) if files else client.post("/fuse", data=options)
    assert answer.status_code == status, answer.text
    assert [*answer.json()] == ["error"] and answer.json()["error"].startswith(message)
    for hint in ("\n", "/tmp", "Traceback", "ttd_jax/", "--max-pixels"):
        assert hint not in answer.json()["error"]
    assert left_over() == []


def test_roles_are_checked(client, pictures):
    content = (pictures / "near.png").read_bytes()
    for first, second, message in (
        ("visible", "sources", "give every source a role or none; b.png has none"),
        ("visible", "infrard", "unknown role infrard: did you mean infrared? Give another name if not"),
        ("visible", "../x", "a role is a word such as visible or infrared; got '../x'"),
    ):
        files = [(first, ("a.png", content)), (second, ("b.png", content))]
        assert client.post("/fuse", files=files).json() == {"error": message}


@pytest.mark.parametrize(
    "name", ["../../../near.png", "/etc/passwd", "a\\b\\..\\near.png", "." * 300, "名前.png", "%00.png"]
)
def test_hostile_names_are_names_only(client, pictures, name):
    files = [("sources", (name, (pictures / one).read_bytes())) for one in ("near.png", "text.png")]
    answer = client.post("/fuse", files=files)
    assert answer.status_code == 422 and " is no image: expected PNG" in answer.json()["error"]
    assert "/" not in answer.json()["error"].partition(" is no image")[0]


def test_other_paths_and_methods_are_not_there(client):
    assert client.get("/nothing").json() == {"error": "Not Found"}
    answer = client.get("/fuse")
    assert (answer.status_code, answer.json()) == (405, {"error": "Method Not Allowed"})


class Endless:
    """A body of 2 GB that counts what was taken of it."""

    most = 2000

    def __init__(self):
        self.taken = 0

    def __iter__(self):
        yield b'--x\r\nContent-Disposition: form-data; name="sources"; filename="a.png"\r\n\r\n'
        for _ in range(self.most):
            self.taken += 1
            yield bytes(1_000_000)


def test_a_body_that_says_it_is_large_is_not_read(address):
    parts = urlsplit(address)
    with socket.create_connection((parts.hostname, parts.port), timeout=20) as connection:
        connection.sendall(b"POST /fuse HTTP/1.1\r\nHost: x\r\nContent-Length: 200000000\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")


def test_a_large_body_is_cut_off_while_it_streams(client):
    body = Endless()
    headers = {"content-type": "multipart/form-data; boundary=x"}
    try:
        answer = client.post("/fuse", content=iter(body), headers=headers)
        assert answer.status_code == 413
        assert answer.json() == {"error": "a request has 4 MB at most, all files together: send less"}
    except httpx.TransportError:  # cut off before the answer was looked at
        pass
    assert body.taken < body.most / 2  # how much is under way when it is cut off depends on the machine
    assert left_over() == []


def test_numbers_agree_with_what_was_asked(client, pictures):
    def answers():
        families = text_string_to_metric_families(client.get("/metrics").text)
        return {s.labels["status"]: s.value for f in families for s in f.samples if s.name == "ttd_jax_answers_total"}

    before = answers()
    for names in (("near", "far"), ("near", "far"), ("near", "text")):
        client.post("/fuse", files=form(pictures, *names))
    after = answers()
    assert {status: after[status] - before.get(status, 0) for status in after} == {
        **dict.fromkeys(after, 0),
        "200": 2,
        "422": 1,
    }
    health = client.get("/health").json()
    assert (health["status"], health["admitted"], [*health["backbones"]]) == (
        "ok",
        0,
        ["pyramid", "mertens", "bandnet"],
    )


def test_the_page_of_the_api_describes_it_and_fetches_nothing_elsewhere(client):
    schema = client.get("/openapi.json").json()
    body = schema["paths"]["/fuse"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert body["properties"]["weighting"]["enum"] == ["loss", "gradient", "static"]
    assert {"200", "413", "422", "429", "503", "504"} <= {*schema["paths"]["/fuse"]["post"]["responses"]}
    page = client.get("/docs")
    assert page.status_code == 200 and "swagger-ui-bundle.js" in page.text
    assert "//cdn" not in page.text and "https://" not in page.text
    assert client.get("/static-offline-docs/swagger-ui-bundle.js").status_code == 200


@pytest.fixture
def small():
    """A service for one client at a time, of 4 seconds each."""
    work = Work(Limits(running=1, waiting=1, seconds=4, rate=0))
    work.backbones = {"pyramid": work.backbones["pyramid"]}
    with served(create_app(work)) as found, httpx.Client(base_url=found, timeout=30) as client:
        yield work, client
    work.close()


def test_who_waits_too_long_and_who_finds_no_place_are_told(small, pictures):
    work, client = small
    ended = threading.Event()
    place = work.admit()
    work.start(place, ended.wait)  # somebody's fusion that does not end
    answers = []
    waiting = threading.Thread(target=lambda: answers.append(client.post("/fuse", files=form(pictures, "near", "far"))))
    waiting.start()
    while work.admitted < 2:
        time.sleep(0.01)
    full = client.post("/fuse", files=form(pictures, "near", "far"))
    assert (full.status_code, full.headers["retry-after"]) == (503, "30")
    assert full.json() == {"error": "as many fusions wait as may: try again in half a minute"}
    waiting.join()
    assert answers[0].status_code == 504
    assert answers[0].json() == {"error": "this took longer than 4 seconds: send smaller images"}
    assert work.admitted == 1  # who was told so has left
    ended.set()
    while work.admitted:
        time.sleep(0.01)
    assert not place.folder.exists()
    fused = client.post("/fuse", files=form(pictures, "near", "far"), data={"weighting": "static"})
    assert fused.status_code in (200, 504)  # 504 where compiling takes longer


def test_a_body_that_does_not_come_is_not_waited_for(small):
    work, client = small
    parts = urlsplit(str(client.base_url))
    with socket.create_connection((parts.hostname, parts.port), timeout=20) as connection:
        connection.sendall(b"POST /fuse HTTP/1.1\r\nHost: x\r\nContent-Length: 999\r\n")
        connection.sendall(b"Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 408 ")
    assert work.admitted == 0


def test_an_address_that_asks_too_often_is_told_to_wait():
    async def app(scope, receive, send):
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body"})

    with served(Guard(app, limits=Limits(rate=2))) as found:
        answers = [httpx.post(found) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [204, 204, 429]
        assert answers[2].json()["error"].startswith("this service takes 2 requests a minute from one address")
        assert httpx.get(found).status_code == 204  # looking costs nothing


def test_clients_share_programs(work, client, pictures):
    def fusers():
        return [*work._fusers]

    client.post("/fuse", files=form(pictures, "near", "far"))
    before = fusers()
    data = {"format": "jpg", "quality": "80", "range": "0 65535", "align_frame": "keep"}
    assert client.post("/fuse", files=form(pictures, "near", "far"), data=data).status_code == 200
    assert fusers() == before  # none of this is compiled
