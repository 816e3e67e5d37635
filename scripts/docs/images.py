"""Makes docs/images from a folder where the tutorials were followed: `python -m scripts.docs.images DIR`.

Pages are opened in Chromium by Playwright; every image stays under 200 KB.
"""

import io
import sys
from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
from PIL import Image, ImageDraw, ImageFont

IMAGES = Path(__file__).parent.parent.parent / "docs/images"
LARGEST = 200_000  # bytes
WIDTH = 1100  # pixels at most
FONT = Path(plt.__file__).parent / "mpl-data/fonts/ttf/DejaVuSans-Bold.ttf"

# By name: the file in the folder, and where its numbers stand, in shares of the image's width and height.
FILES: dict[str, tuple[str, list[tuple[float, float]]]] = {
    "coins_preview": ("outputs/data/labelme/preview_*/preview.png", []),
    "coins_val_batch": ("outputs/coins/val_batch.jpg", []),
    "run_results": ("outputs/coins/results.png", [(0.25, 0.2), (0.5, 0.45), (0.93, 0.3)]),
    "run_val_batch": (
        "outputs/coins/val_batch.jpg",
        [(0.07, 0.058), (0.22, 0.058), (0.41, 0.058), (0.24, 0.035)],
    ),
    "run_contact_sheet": ("outputs/eval/*/contact_sheet.png", []),
    "run_confusion_matrix": ("outputs/eval/*/confusion_matrix.png", []),
    "run_precision_recall": ("outputs/coins/precision_recall.png", []),
    "farm_overlay": ("crops/overlays/july.jpg", []),
    "crf_steps": ("refined/steps/new_0.png", []),
}
ROWS = {"coins_overlays": "labels/overlays/new_*.jpg"}
# By name: the page, the element that is shown (None: the top of the page), and its height in pixels.
PAGES: dict[str, tuple[str, str | None, int]] = {
    "report_seeds": ("outputs/seeds/report.html", None, 900),
    "report_fcn_deeplab": ("outputs/fcn_deeplab/report.html", None, 900),
    "explain_crf": ("outputs/coarse/explain.html", "#crf", 4000),
}


def main(folder: Path) -> None:
    """Writes what the folder has files for; says what it lacks."""
    IMAGES.mkdir(exist_ok=True)
    for name, (pattern, marks) in FILES.items():
        found = sorted(folder.glob(pattern))
        if found:
            save(name, numbered(Image.open(found[0]).convert("RGB"), marks))
        else:
            print(f"{name}: no {pattern}")
    for name, pattern in ROWS.items():
        save(name, side_by_side([Image.open(path).convert("RGB") for path in sorted(folder.glob(pattern))]))
    screenshots(folder)


def screenshots(folder: Path) -> None:
    """The pages of reports, as Chromium shows them."""
    from tests.browser import browser

    with browser() as chromium:
        for name, (path, element, height) in PAGES.items():
            if not (folder / path).exists():
                print(f"{name}: no {path}")
                continue
            page = chromium.new_page(viewport={"width": WIDTH, "height": height})
            page.goto((folder / path).resolve().as_uri())
            shown = page.locator(element).first if element else page
            save(name, Image.open(io.BytesIO(shown.screenshot())).convert("RGB"))
            page.close()


def numbered(image: Image.Image, marks: Sequence[tuple[float, float]]) -> Image.Image:
    """The image with 1, 2, 3 in circles at the marks."""
    radius = max(image.width // 70, 9)
    draw, font = ImageDraw.Draw(image), ImageFont.truetype(str(FONT), int(radius * 1.3))
    for number, (x, y) in enumerate(marks, 1):
        centre = x * image.width, y * image.height
        draw.circle(centre, radius, fill="#0072b2", outline="white", width=2)
        draw.text(centre, str(number), fill="white", font=font, anchor="mm")
    return image


def side_by_side(images: Sequence[Image.Image], gap: int = 8) -> Image.Image:
    """Images in a row, on white."""
    width = sum(image.width for image in images) + gap * (len(images) - 1)
    row = Image.new("RGB", (width, max(image.height for image in images)), "white")
    x = 0
    for image in images:
        row.paste(image, (x, 0))
        x += image.width + gap
    return row


def save(name: str, image: Image.Image) -> None:
    """As WebP, no wider than a page, in the best quality that fits."""
    if image.width > WIDTH:
        image = image.resize((WIDTH, round(image.height * WIDTH / image.width)), Image.Resampling.LANCZOS)
    for quality in (90, 80, 70, 60, 45, 30):
        file = io.BytesIO()
        image.save(file, "WEBP", quality=quality, method=6)
        if len(file.getvalue()) < LARGEST:
            break
    (IMAGES / f"{name}.webp").write_bytes(file.getvalue())
    print(f"{name}.webp: {image.width}×{image.height}, {len(file.getvalue()) // 1000} KB")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
