"""The demo's page, built with Gradio (extra `demo`): controls on the left, predictions on the right."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from segtrain.demo.opened import Controls, DemoModel, Drawn, Opened, draw_prediction, scene_numbers
from segtrain.errors import InputError, how_to_install
from segtrain.files import write_bytes
from segtrain.viz.drawing import save_labels

SUFFIXES = [*(".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"), ".npy", ".npz"]
BUTTONS = ["download", "fullscreen"]  # Gradio's third one sends the image elsewhere
VIEWS = ["overlay", "classes", "confidence"]
SYSTEM_FONTS = ["system-ui", "sans-serif"], ["ui-monospace", "monospace"]  # others come from the network
SHOWN = 1600  # pixels of the longer side of what the browser gets; files to download are whole
# Stds in pixels and grey levels, and weights: (key, label, lowest, highest, step).
GAUSSIAN = (("sxy", "near: sxy, pixels", 1, 20, 1), ("compat", "near: compat, weight", 0, 20, 0.5))
BILATERAL = (
    ("sxy", "like colours: sxy, pixels", 5, 200, 5),
    ("srgb", "like colours: srgb, grey levels", 1, 40, 1),
    ("compat", "like colours: compat, weight", 0, 20, 0.5),
)
CSS = """
.swatch { display: inline-block; width: 1em; height: 1em; border: 1px solid #777; vertical-align: -0.1em }
.legend td { padding: 0.1em 0.8em 0.1em 0; border: none } .legend tr { border: none }
"""


def require_gradio() -> Any:
    """Gradio. Raises InputError where it is not installed."""
    try:
        import gradio
    except ImportError as error:
        raise InputError("the demo needs the package gradio", do=how_to_install("demo")) from error
    return gradio


def build_page(
    models: Sequence[DemoModel],
    analyse: Callable[[Path], Opened],
    folder: Path,
    *,
    crf: dict[str, Any],
    examples: Sequence[Path] = (),
) -> Any:
    """Builds the page.

    Args:
        models: shown side by side.
        analyse: from a file to what the networks say; raises InputError.
        folder: for what is downloaded, a folder in it for each image.
        crf: where the sliders begin: `iterations`, `gaussian` and `bilateral` with one kernel each.
        examples: images to choose from.

    Returns:
        Gradio's Blocks, to be launched.

    Raises:
        InputError: Gradio is not installed.

    Example:
        >>> build_page([model], analyse, Path("/tmp/demo"), crf=DEFAULT).launch(css=CSS)
    """
    gr = require_gradio()
    session = Session(models, analyse, folder, crf)
    known = {path.name: path for path in examples}
    with gr.Blocks(title="segdemo", analytics_enabled=False, delete_cache=(600, 3600)) as page:
        gr.Markdown(
            "# segdemo\nDrop an image, and see what the network makes of it. It stays on this machine."
        )
        scene = gr.State(time_to_live=3600)
        with gr.Row():
            with gr.Column(scale=1, min_width=280):
                upload = gr.File(label="Image", file_types=SUFFIXES, height=120)
                chosen = gr.Dropdown(list(known), label="Or one of these", visible=bool(known), value=None)
                controls = _controls(gr, models, crf)
            with gr.Column(scale=3):
                results = _results(gr, models)
    with page:
        for source, event, files in ((upload, upload.upload, None), (chosen, chosen.input, known)):
            opened = session.opened(files)
            event(opened, [source, *controls], [scene, *results], api_visibility="private")
        for control in controls:
            control.change(
                session.redraw,
                [scene, *controls],
                results,
                trigger_mode="always_last",
                show_progress="hidden",
                api_visibility="private",
            )
    return page


def _controls(gr: Any, models: Sequence[DemoModel], crf: dict[str, Any]) -> list[Any]:
    """View, opacity, classes and the CRF's switch and sliders."""
    names = list(dict.fromkeys(name for model in models for name in model.class_names))
    return [
        gr.Radio(VIEWS, value=VIEWS[0], label="View"),
        gr.Slider(0, 1, 0.6, step=0.05, label="Opacity of the colours"),
        gr.CheckboxGroup(names, value=names, label="Classes that are drawn"),
        *_crf_controls(gr, crf, never=all(model.multilabel for model in models)),
    ]


def _results(gr: Any, models: Sequence[DemoModel]) -> list[Any]:
    """A message, a drawing and a legend for each model, and what can be downloaded."""
    message = gr.Markdown("No image yet.", elem_id="message")
    drawings, legends = [], []
    with gr.Row():
        for model in models:
            with gr.Column(min_width=240):
                drawings.append(gr.Image(label=model.name, format="png", interactive=False, buttons=BUTTONS))
                legends.append(gr.HTML())
    with gr.Row():
        labels = [f"Classes of {model.name} (PNG)" for model in models]
        files = [gr.DownloadButton(label, interactive=False) for label in [*labels, "Numbers (JSON)"]]
    return [message, *drawings, *legends, *files]


def _crf_controls(gr: Any, start: dict[str, Any], *, never: bool) -> list[Any]:
    """A switch, and the sliders of the dense CRF."""
    with gr.Accordion("Dense CRF", open=False, visible=not never):
        made = [
            gr.Checkbox(False, label="Refine by the dense CRF"),
            gr.Slider(0, 20, start["iterations"], step=1, label="iterations"),
        ]
        for kernel, ranges in (("gaussian", GAUSSIAN), ("bilateral", BILATERAL)):
            for key, label, lowest, highest, step in ranges:
                value = min(max(start[kernel][key], lowest), highest)
                made.append(gr.Slider(lowest, highest, value, step=step, label=label))
    return made


class Session:
    """What the page's events call.

    Args:
        models, analyse, folder, crf: as `build_page` takes them.
    """

    def __init__(
        self,
        models: Sequence[DemoModel],
        analyse: Callable[[Path], Opened],
        folder: Path,
        crf: dict[str, Any],
    ):
        self.models, self.analyse, self.folder, self.crf = models, analyse, folder, crf

    def opened(self, known: dict[str, Path] | None) -> Callable[..., list[Any]]:
        """What handles a file that was chosen; `known`: the examples by their names."""

        def opened(chosen: str | None, *controls: Any) -> list[Any]:
            if not chosen:
                return [None, "No image yet.", *self._nothing()]
            try:
                scene = self.analyse(known[chosen] if known else Path(chosen))
            except InputError as error:
                return [None, f"**Not possible:** {escape(str(error))}", *self._nothing()]
            return [scene, *self.redraw(scene, *controls)]

        return opened

    def redraw(self, scene: Opened | None, *controls: Any) -> list[Any]:
        """Message, images, legends and files for an image and the controls' values."""
        if scene is None:
            return ["No image yet.", *self._nothing()]
        wanted = self.controls(*controls)
        try:
            drawn = [draw_prediction(scene, i, model, wanted) for i, model in enumerate(self.models)]
        except InputError as error:
            return [f"**Not possible:** {escape(str(error))}", *self._nothing()]
        gr = require_gradio()
        height, width = scene.rgb.shape[:2]
        files = [
            gr.DownloadButton(value=str(path), interactive=True) for path in self._write(scene, drawn, wanted)
        ]
        legends = [legend_html(model, one) for model, one in zip(self.models, drawn, strict=True)]
        said = f"**{escape(scene.name)}**, {width}×{height}" + (", after the CRF" if wanted.crf else "")
        if wanted.view == "confidence":
            said += ". Blue: unsure, yellow: sure."
        return [said, *(_reduced(one.image) for one in drawn), *legends, *files]

    def controls(self, view: str, share: float, visible: list[str], crf: bool, *values: float) -> Controls:
        """The controls' values by name."""
        iterations, *stds = values
        first = len(GAUSSIAN)
        kernels = {
            name: self.crf[name] | dict(zip((key for key, *_ in ranges), given, strict=True))
            for name, ranges, given in (
                ("gaussian", GAUSSIAN, stds[:first]),
                ("bilateral", BILATERAL, stds[first:]),
            )
        }
        names = {name for model in self.models for name in model.class_names}
        return Controls(
            view,
            share,
            frozenset(names - set(visible)),
            {"iterations": int(iterations), **kernels} if crf else None,
        )

    def _nothing(self) -> list[Any]:
        gr = require_gradio()
        count = len(self.models)
        files = [gr.DownloadButton(value=None, interactive=False) for _ in range(count + 1)]
        return [*[None] * count, *[""] * count, *files]

    def _write(self, scene: Opened, drawn: Sequence[Drawn], controls: Controls) -> list[Path]:
        """The files to download: labels of each model, and numbers."""
        stem, paths = Path(scene.name).stem[:60] or "image", []
        folder = self.folder / str(id(scene))
        folder.mkdir(exist_ok=True)
        for i, (model, one) in enumerate(zip(self.models, drawn, strict=True)):
            labels = one.labels if one.labels.ndim == 2 else one.labels.argmax(2).astype(np.uint8)
            paths.append(folder / f"{stem}_{i + 1}.png")
            save_labels(labels, paths[-1], model.palette)
        paths.append(folder / f"{stem}.json")
        write_bytes(
            paths[-1], json.dumps(scene_numbers(scene, drawn, self.models, controls), indent=1).encode()
        )
        return paths


def legend_html(model: DemoModel, drawn: Drawn) -> str:
    """HTML: the classes that are in an image, the largest first, with colour and share."""
    order = sorted(range(len(drawn.shares)), key=lambda i: -drawn.shares[i])
    rows = "".join(
        f'<tr><td><span class="swatch" style="background: rgb{tuple(model.palette[i])}"></span></td>'
        f"<td>{escape(str(model.class_names[i]))}</td><td>{100 * drawn.shares[i]:.1f} %</td></tr>"
        for i in order
        if drawn.shares[i] > 0
    )
    return f'<table class="legend">{rows}</table><p>mean confidence {100 * drawn.confidence:.1f} %</p>'


def _reduced(image: np.ndarray) -> np.ndarray:
    """An image no larger than a browser shows."""
    factor = SHOWN / max(image.shape[:2])
    if factor >= 1:
        return image
    size = max(round(image.shape[1] * factor), 1), max(round(image.shape[0] * factor), 1)
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BOX))
