"""The page in Debian's Chromium: a fusion from upload to download, mistakes, two visitors, what is out of reach."""

import shutil
from contextlib import suppress
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.serve.conftest import commanded
from ttd_jax import fuse
from ttd_jax.io.images import read_image
from ttd_jax.serve.examples import EXAMPLES, example_paths

CHROMIUM = shutil.which("chromium")
ARGUMENTS = ["no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-sync"]
ARGUMENTS += ["disable-background-networking", "disable-component-update"]
SLOW = 120_000  # milliseconds, on a machine that is busy

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium"),
]


@pytest.fixture(scope="module")
def temporary(tmp_path_factory) -> Path:
    """Where the server's files lie."""
    return tmp_path_factory.mktemp("server")


@pytest.fixture(scope="module")
def address(temporary):
    """Where the page is."""
    limits = {"megabytes": 4, "megapixels": 1, "rate": 0, "kept": 60}
    options = [word for name, number in limits.items() for word in (f"--{name}", str(number))]
    with commanded(temporary, "serve", "--page", *options) as (_, found):
        yield found


@pytest.fixture(scope="module")
def browser():
    """One Chromium for all."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=[f"--{name}" for name in ARGUMENTS])
        yield found
        found.close()


@pytest.fixture
def visit(browser, address):
    """A function that opens the page as a new visitor, who fetches nothing from elsewhere."""
    contexts, outside = [], []

    def open_page(**options):
        contexts.append(browser.new_context(**{"viewport": {"width": 1280, "height": 1000}, **options}))
        page = contexts[-1].new_page()
        page.set_default_timeout(SLOW)
        known = (address, "data:", "blob:")
        page.on("request", lambda request: request.url.startswith(known) or outside.append(request.url))
        page.goto(address)
        page.wait_for_selector("#fuse")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert outside == []


def choose_pyramid(page):
    """The network that compiles in no time."""
    page.get_by_text("Options").click()
    page.get_by_label("Network").click()
    page.get_by_role("option", name="pyramid").click()


def upload(page, *paths):
    page.locator("#files input[type=file]").set_input_files([str(path) for path in paths])
    for path in paths:
        page.locator("#files").get_by_text(path.stem[:5]).first.wait_for()


def downloaded(page, tmp_path, button):
    with page.expect_download() as found:
        page.locator(button).click()
    path = tmp_path / found.value.suggested_filename
    found.value.save_as(path)
    return path


def test_a_fusion_from_upload_to_download(visit, pictures, tmp_path):
    page = visit()
    choose_pyramid(page)
    upload(page, pictures / "near.png", pictures / "far.png")
    page.locator("#sources img").nth(1).wait_for()
    page.locator("#fuse").click()
    page.locator("#everything:enabled").wait_for()
    assert "2 images of 32 × 24, 16 bit, colour" in page.locator("#words").inner_text()
    expected = fuse([pictures / "near.png", pictures / "far.png"], backbone="pyramid")
    found = read_image(downloaded(page, tmp_path, "#download")).pixels
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found, expected.image)
    assert downloaded(page, tmp_path, "#everything").read_bytes().startswith(b"PK")
    for tab, pictured in (("Compare", "#slider img"), ("Weights", "#weights img"), ("Components", "#components img")):
        page.get_by_role("tab", name=tab).click()
        page.locator(pictured).nth(1).wait_for()
        assert page.locator(pictured).nth(1).evaluate("image => image.decode().then(() => image.naturalWidth)") == 32


def test_a_mistake_is_shown_and_tells_nothing_of_the_server(visit, pictures, temporary):
    from playwright.sync_api import TimeoutError

    for _ in range(3):  # once in some hundred runs Gradio lost the event, sent as the look at the files ended
        page = visit()
        upload(page, pictures / "near.png", pictures / "text.png")
        page.wait_for_timeout(1000)
        page.locator("#fuse").click()
        toast = page.locator(".toast-body").first
        with suppress(TimeoutError):
            toast.wait_for(timeout=SLOW / 3)
            break
    assert "text.png is no image: expected PNG, TIFF, JPEG, BMP or WebP" in toast.inner_text()
    assert str(temporary) not in page.content().replace("/file=" + str(temporary), "")
    page.reload()
    page.wait_for_selector("#fuse")
    assert page.locator("#files").get_by_text("near").count() == 0


def test_two_visitors_at_once_and_one_who_reloads(visit, pictures, tmp_path):
    pages = [visit() for _ in range(3)]
    pairs = [("near", "far"), ("day", "near"), ("far", "day")]
    for page, pair in zip(pages, pairs, strict=True):
        choose_pyramid(page)
        upload(page, *(pictures / f"{name}.png" for name in pair))
        page.locator("#sources img").nth(1).wait_for()
    for page in pages:
        page.locator("#fuse").click()
    pages[2].reload()
    for number, pair in enumerate(pairs[:2]):
        pages[number].locator("#everything:enabled").wait_for()
        (tmp_path / str(number)).mkdir()
        found = read_image(downloaded(pages[number], tmp_path / str(number), "#download")).pixels
        expected = fuse([pictures / f"{name}.png" for name in pair], backbone="pyramid")
        np.testing.assert_array_equal(found, expected.image)


def test_it_fits_a_phone(visit):
    page = visit(viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True)
    page.wait_for_timeout(500)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    for name in ("Fused", "Compare", "Weights", "Components", "Metrics"):
        assert page.get_by_role("tab", name=name, exact=True).is_visible()


def test_nothing_else_is_in_reach(address, tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("a file of the server")
    with httpx.Client(base_url=address) as client:
        for path in (secret, Path(__file__), "/etc/passwd", "/proc/self/environ"):
            for form in (f"/gradio_api/file={path}", f"/gradio_api/file=x/../../../../../..{path}"):
                answer = client.get(form)
                assert answer.status_code in (403, 404) and "a file of the server" not in answer.text
        for path in (
            "/gradio_api/file=http://127.0.0.1:1/x",
            "/gradio_api/proxy=http://127.0.0.1:1/",
            "/gradio_api/vibe-code",
            "/monitoring",
            "/gradio_api/openapi.json",
        ):
            answer = client.get(path)
            assert (answer.status_code, answer.json()) == (404, {"error": "there is nothing here"})
        large = client.post("/gradio_api/upload", files={"files": ("a.png", bytes(5_000_000))})
        assert large.status_code == 413
        assert "default-src 'self'" in client.get("/").headers["content-security-policy"]
        assert client.get("/health").json()["status"] == "ok"  # the service beside it


def test_files_are_uploaded_and_not_fetched(address):
    """A client that names an address in place of an upload."""
    import http.server
    import threading

    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as elsewhere, httpx.Client(base_url=address) as client:
        thread = threading.Thread(target=elsewhere.serve_forever)
        thread.start()
        try:
            config = client.get("/config").json()
            target = next(c["id"] for c in config["components"] if c["props"].get("elem_id") == "files")
            event = next(d for d in config["dependencies"] if target in d["inputs"])
            url = f"http://127.0.0.1:{elsewhere.server_port}/near.png"
            file = {"path": url, "url": url, "meta": {"_type": "gradio.FileData"}}
            data = [[file, file] if one == target else None for one in event["inputs"]]
            body = {"data": data, "fn_index": event["id"], "session_hash": "abc", "trigger_id": None}
            assert client.post("/gradio_api/queue/join", json=body).status_code == 200
            with client.stream("GET", "/gradio_api/queue/data?session_hash=abc", timeout=60) as events:
                told = next(line for line in events.iter_lines() if "process_completed" in line)
            assert "files are uploaded, not fetched from an address" in told
        finally:
            elsewhere.shutdown()
            thread.join()
    assert asked == []


def test_examples_are_there():
    for example in EXAMPLES:
        assert all(path.is_file() for path in example_paths(example))
        assert len(example.names) == len(example.roles.split(", "))
