"""The page: images dropped on it, their fusion, and what made it so; Gradio, in front of the same ``Work``."""

import os
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import gradio as gr
from fastapi import FastAPI

from ttd_jax.errors import InputError
from ttd_jax.options import Align, Frame, WeightingName, choices
from ttd_jax.serve.app import create_api
from ttd_jax.serve.examples import EXAMPLES
from ttd_jax.serve.files import size_of
from ttd_jax.serve.guard import Guard
from ttd_jax.serve.show import ORDER, ROLES, Shown, fuse_for_page, open_example, roles_in, score_for_page, see_sources
from ttd_jax.serve.telemetry import Telemetry
from ttd_jax.serve.wanted import NONE, FileFormat
from ttd_jax.serve.work import Work

GALLERY: dict[str, Any] = {"columns": 2, "height": "auto", "object_fit": "contain", "interactive": False}

CSS = """
.gradio-container {width: 100%; max-width: min(1280px, 100vw) !important; margin: 0 auto !important}
.gradio-container .main {min-width: 0; width: 100%; padding: 16px}
#title h1 {margin-bottom: 0}
footer {display: none !important}
.grid-wrap {min-height: 0 !important; max-height: none !important}
.thumbnail-item.thumbnail-lg {aspect-ratio: auto !important}
#table td, #table th, #table span {font-family: inherit !important}
@media (max-width: 640px) {.tab-wrapper button {padding: 0 4px !important; font-size: 13.5px !important}}
"""

ALLOWED = re.compile(
    r"(GET|HEAD) /(|config|theme\.css|favicon\.ico|robots\.txt|manifest\.json|(assets|static|svelte)/.*)"
    r"|GET /gradio_api/(info|app_id|startup-events|heartbeat/\w+|queue/data|upload_progress|file=(?!https?:).*)"
    r"|POST /gradio_api/(upload|queue/join|cancel|reset)/?"
)
"""What the page needs of Gradio's paths. It has more: proxies to other servers, recordings, deep links."""

API_ALLOWED = re.compile(
    rf"{ALLOWED.pattern}|(GET|HEAD) /(health|metrics|docs|openapi\.json|static-offline-docs/.*)|POST /fuse"
)
"""The same, and the service's own."""


def create_page_app(work: Work, *, api: bool) -> Guard:
    """The page as an ASGI application, with or without the service for programs.

    Args:
        work: What fuses; whoever made it closes it.
        api: Whether there is the service, too.
    """
    folder = Path(tempfile.mkdtemp(prefix="page-"))
    os.environ["GRADIO_TEMP_DIR"] = str(folder)
    telemetry = Telemetry(work)
    app = create_api(work, telemetry) if api else FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    limits = work.limits
    gr.mount_gradio_app(
        app,
        build_page(work, folder),
        "/",
        footer_links=[],
        run_history=False,
        allowed_paths=[],
        show_error=False,
        max_file_size=limits.upload,
        ssr_mode=False,
        enable_monitoring=False,
        mcp_server=False,
        pwa=False,
        css=CSS,
        theme=gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]),
    )

    def room(path: str) -> bool:
        return path != "/gradio_api/upload" or size_of(folder) < limits.disk * 1_000_000

    allowed = API_ALLOWED if api else ALLOWED
    return Guard(app, limits=limits, allowed=allowed, room=room, tell=telemetry.answered)


def build_page(work: Work, folder: Path) -> gr.Blocks:
    """The page itself.

    Args:
        work: What fuses.
        folder: Where uploads and results lie, a folder each.
    """
    kept = work.limits.kept
    with gr.Blocks(title="Image fusion", analytics_enabled=False, delete_cache=(min(kept, 60), kept)) as page:
        gr.Markdown(
            "# Image fusion\nSeveral registered images of one scene in, one image out. "
            f"Files are removed after {_in_words(kept)}.",
            elem_id="title",
        )
        shown = gr.State(None, time_to_live=kept)
        with gr.Row():
            with gr.Column(scale=2, min_width=320):
                files = gr.File(
                    label="Two images or more, of one size",
                    file_count="multiple",
                    allow_reordering=True,
                    height=180,
                    elem_id="files",
                )
                roles = gr.Dropdown(
                    list(ROLES),
                    value=ORDER,
                    label="What they are, in this order",
                    allow_custom_value=True,
                    elem_id="roles",
                )
                with gr.Accordion("Options", open=False):
                    options = _options(work)
                go = gr.Button("Fuse", variant="primary", elem_id="fuse")
                gr.Markdown("Or try an example:")
                examples = []
                for half in (EXAMPLES[:2], EXAMPLES[2:]):
                    with gr.Row():
                        examples += [gr.Button(one.title, size="sm", min_width=120) for one in half]
                sources = gr.Gallery(label="Sources", elem_id="sources", **GALLERY)
            with gr.Column(scale=3, min_width=320):
                words = gr.Markdown("The fused image will be shown here.", elem_id="words")
                with gr.Tabs():
                    with gr.Tab("Fused"):
                        image = gr.Image(
                            label="Fused", type="filepath", interactive=False, elem_id="fused", buttons=["fullscreen"]
                        )
                    with gr.Tab("Compare"):
                        slider = gr.ImageSlider(
                            label="Left static, right test-time weights",
                            type="filepath",
                            interactive=False,
                            elem_id="slider",
                        )
                    with gr.Tab("Weights"):
                        weights = gr.Gallery(
                            label="How much each counts: dark 0, bright 1", elem_id="weights", **GALLERY
                        )
                    with gr.Tab("Components"):
                        components = gr.Gallery(
                            label="What the network makes of each source alone", elem_id="components", **GALLERY
                        )
                    with gr.Tab("Metrics") as numbers:
                        table = gr.Dataframe(
                            headers=["", "metric", "fused", "static"], interactive=False, elem_id="table", wrap=True
                        )
                with gr.Row():
                    download = gr.DownloadButton("Image at full depth", interactive=False, elem_id="download")
                    everything = gr.DownloadButton("Image, weights and report", interactive=False, elem_id="everything")
        outputs = [words, image, slider, weights, components, download, everything, shown, table]

        def fuse(given: Sequence[str] | None, named: str, *chosen: Any) -> Iterator[list[Any]]:
            texts = dict(zip(OPTIONS, chosen, strict=True))
            for step in _told(lambda: fuse_for_page(work, folder, given or [], roles_in(named), texts)):
                yield _updates(step)

        event: dict[str, Any] = {"api_visibility": "private", "concurrency_limit": work.limits.running}
        fusing: dict[str, Any] = {
            **event,
            "show_progress_on": [image],
            "concurrency_id": "fuse",
            "scroll_to_output": True,
        }
        given = [files, roles, *options]
        gr.on([go.click], fuse, given, outputs, trigger_mode="once", **fusing)
        looking: dict[str, Any] = {**event, "show_progress": "hidden", "concurrency_id": "look"}
        gr.on(
            [files.change, roles.input],
            lambda given, named: _look(work, folder, given, named),
            [files, roles],
            [sources],
            **looking,
        )
        for button, example in zip(examples, EXAMPLES, strict=True):
            opened = button.click(_opening(folder, example), None, [files, roles], **looking)
            opened.then(fuse, given, outputs, **fusing)
        numbers.select(lambda one: _score(work, one), [shown], [table], **{**event, "concurrency_id": "fuse"})
        for block in page.blocks.values():
            _never_fetch(block)
    page.queue(max_size=work.limits.running + work.limits.waiting, api_open=False)
    return page


OPTIONS = ("backbone", "weighting", "recipe", "align", "align_frame", "format")
"""The options that the page offers, in order."""


def _options(work: Work) -> list[Any]:
    names = [*work.backbones]
    first = work.backbones[names[0]]
    backbone = gr.Dropdown(names, value=names[0], label="Network")
    weighting = gr.Dropdown(list(choices(WeightingName)), value="loss", label="Weights by")
    recipe = gr.Dropdown([*first.recipes], value="default", label="Recipe")
    align = gr.Dropdown([NONE, *choices(Align)], value=NONE, label="Align first")
    frame = gr.Dropdown(list(choices(Frame)), value="crop", label="Frame of aligned images")
    form = gr.Dropdown(list(choices(FileFormat)), value="auto", label="Format to download")

    def recipes(name: str) -> Any:
        return gr.Dropdown([*work.backbones[name].recipes] if name in work.backbones else [], value="default")

    backbone.change(recipes, [backbone], [recipe], api_visibility="private", show_progress="hidden")
    return [backbone, weighting, recipe, align, frame, form]


def _updates(step: Shown) -> list[Any]:
    """What of a step the page shows, in the order of its outputs."""
    return [
        step.words,
        step.image,
        step.pair if step.pair else gr.skip(),
        step.weights,
        step.components,
        gr.DownloadButton(value=step.download, interactive=step.download is not None),
        gr.DownloadButton(value=step.archive, interactive=step.archive is not None),
        step,
        gr.skip() if step.pair else [],
    ]


def _told(steps: Callable[[], Iterator[Any]]) -> Iterator[Any]:
    """The steps, and a mistake of the visitor as words that the page shows."""
    try:
        yield from steps()
    except InputError as error:
        raise gr.Error(str(error), duration=None, print_exception=False) from None


def _look(work: Work, folder: Path, given: Sequence[str] | None, named: str) -> Any:
    if not given:
        return []
    try:
        return see_sources(work, folder, given, roles_in(named))
    except InputError:  # told when they are fused; there may be more to come
        return []


def _score(work: Work, one: Shown | None) -> Any:
    if one is None:
        return []
    return next(_told(lambda: iter([score_for_page(work, one)])))


def _opening(folder: Path, example: Any) -> Callable[[], tuple[list[str], str]]:
    return lambda: (open_example(folder, example), example.roles)


def _never_fetch(block: Any) -> None:
    """Lets a component take uploads only: Gradio would also fetch a file from an address that a client names."""
    if not hasattr(block, "async_move_resource_to_block_cache"):
        return
    take = block.async_move_resource_to_block_cache

    async def local(url_or_file_path: Any) -> Any:
        if re.match(r"\s*\w+://", str(url_or_file_path or "")):
            raise gr.Error("files are uploaded, not fetched from an address", print_exception=False)
        return await take(url_or_file_path)

    block.async_move_resource_to_block_cache = local


def _in_words(seconds: int) -> str:
    return f"{seconds // 60} minutes" if seconds >= 120 else f"{seconds} seconds"
