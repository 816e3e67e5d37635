"""Screenshots of the built site, to look at: `python -m scripts.docs.screens SITE OUT [PAGE ...]`."""

import functools
import http.server
import sys
import threading
from pathlib import Path

SIZES = {"desktop": (1280, 900), "phone": (390, 844)}


def main(site: Path, out: Path, pages: list[str]) -> None:
    """Writes OUT/PAGE.SIZE.SCHEME.png, and prints what is wider than its window or makes an error."""
    from tests.browser import browser

    out.mkdir(parents=True, exist_ok=True)
    handler = functools.partial(Quiet, directory=str(site))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    root = f"http://127.0.0.1:{server.server_port}"
    asked = pages or [str(path.parent.relative_to(site)) for path in sorted(site.rglob("index.html"))]
    with browser() as chromium:
        for size, (width, height) in SIZES.items():
            for scheme in ("light", "dark"):
                context = chromium.new_context(
                    viewport={"width": width, "height": height}, color_scheme=scheme
                )
                page = context.new_page()
                page.on(
                    "console", lambda said: print("console:", said.text) if said.type == "error" else None
                )
                page.on(
                    "request", lambda r: None if r.url.startswith((root, "data:")) else print("asks", r.url)
                )
                for name in asked:
                    page.goto(f"{root}/{name}/")
                    look(page, name, out / f"{name.replace('/', '.') or 'start'}.{size}.{scheme}.png", width)
                context.close()
    server.shutdown()


def look(page: object, name: str, file: Path, width: int) -> None:
    """Saves a page and names what sticks out of it."""
    wide = page.evaluate("document.documentElement.scrollWidth")  # type: ignore[attr-defined]
    if wide > width:
        print(f"{name}: {wide} pixels wide in a window of {width}")
    broken = page.evaluate(  # type: ignore[attr-defined]
        "[...document.images].filter(i => i.loading != 'lazy' && !i.naturalWidth).map(i => i.src)"
    )
    for source in broken:
        print(f"{name}: no image {source}")
    page.screenshot(path=file, full_page=True)  # type: ignore[attr-defined]


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A file server without a log."""

    def log_message(self, *_: object) -> None:
        pass


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
