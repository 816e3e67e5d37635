"""CamVid as JPEG of quality 95, masks as the PNG that they are: few bytes, for the way to a machine.

A network that was trained on these is another one than on PNG, and its score must say so.
"""

import argparse
import shutil
from pathlib import Path

from PIL import Image

QUALITY = 95


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path, help="the folder with train.txt, train/ and trainannot/")
    parser.add_argument("target", type=Path, help="a new folder")
    parser.add_argument("--most", type=int, default=1000, help="images of a split")
    arguments = parser.parse_args()
    for listed in sorted(arguments.source.glob("*.txt")):
        lines = []
        for line in listed.read_text().splitlines()[: arguments.most]:
            image, mask = (Path(*Path(part).parts[-2:]) for part in line.split())
            there = arguments.target / image.with_suffix(".jpg")
            there.parent.mkdir(parents=True, exist_ok=True)
            Image.open(arguments.source / image).convert("RGB").save(there, quality=QUALITY)
            (arguments.target / mask).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(arguments.source / mask, arguments.target / mask)
            lines.append(f"{image.with_suffix('.jpg')} {mask}")
        (arguments.target / listed.name).write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
