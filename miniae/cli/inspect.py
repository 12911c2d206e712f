"""Find defects in images of any size: by an inspector that was fitted before to images without any.

    miniae inspect cloth.safetensors CLEAN_IMAGES --fit
    miniae inspect cloth.safetensors IMAGES -o FOLDER

Images are a file or a folder of them (PNG, JPEG, TIFF, ..., of 8 or 16 bits, grey or colour), each of its own size and
all of one resolution. Heat is 1 where an image is as usual, and a defect is what is above the inspector's threshold.
--out writes a picture of each image beside its heat map, and scores.csv: the largest heat of each image, where it is,
and the area of its defects, in pixels.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from miniae.cli import model_and_data
from miniae.cli.pictures import in_folder, read_all, readable
from miniae.data import DataError, read_picture, write_table
from miniae.report import heat_maps
from miniae.tasks import Finding, TextureInspector


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="an inspector's .safetensors file; with --fit, the one to write")
    parser.add_argument("images", metavar="IMAGES", help="an image, or a folder of images")
    model_and_data.add_backend(parser)
    parser.add_argument("--fit", action="store_true", help="fit an inspector to images without defects and write it to "
                                                           "MODEL")
    parser.add_argument("--false-alarms", type=float, default=None, metavar="SHARE",
                        help="with --fit: the share of small windows of these images above the threshold (default: "
                             "0.001)")
    parser.add_argument("--updates", type=int, default=None, metavar="N",
                        help="with --fit: optimizer steps for each scale (default: 600)")
    parser.add_argument("--seed", type=int, default=None, metavar="N",
                        help="with --fit: decides initial weights, noise and the choice of patches (default: 0)")
    parser.add_argument("-o", "--out", metavar="FOLDER", help="a new folder for heat maps and scores.csv")


def run(args: argparse.Namespace) -> int:
    given = {name: value for name in ("false_alarms", "updates", "seed")
             if (value := getattr(args, name)) is not None}
    if args.fit:
        if args.out:
            raise DataError("--fit learns from images without defects: leave --out out, and inspect others afterwards")
        model_and_data.check_new_model(args.model, "inspector")
        images = read_all(args.images)
        inspector = TextureInspector(backend=args.backend, **given).fit(list(images.values()))
        inspector.save(args.model)
        pixels = sum(image.shape[-2] * image.shape[-1] for image in images.values())
        print(f"written to {args.model}: fitted to {len(images):,} image{'s' * (len(images) > 1)}, {pixels:,} pixels; "
              f"defects are above {inspector.threshold_:.4g}")
        return 0
    if given:
        raise DataError("--false-alarms, --updates and --seed are for fitting: add --fit, or leave them out")
    inspector = TextureInspector.load(args.model, args.backend)
    files = readable(args.images)
    if not args.out:
        _inspect(inspector, files, {})
        return 0
    with in_folder(args.out, files) as (folder, targets):
        lines = _inspect(inspector, files, targets)
        write_table(folder / "scores.csv", ["image", *Finding._fields], lines)
    print(f"written to {args.out}")
    return 0


def _inspect(inspector: TextureInspector, files: dict[str, Path], targets: dict[str, Path]) -> list[tuple[Any, ...]]:
    """Say what each image has of defects, draw it where there is a target, and return the table's lines."""
    lines, odd = [], 0
    for name, file in files.items():
        image = read_picture(file)
        try:
            heat = inspector.heat_map(image)
        except ValueError as why:
            raise DataError(f"{file}: {why}") from None
        finding = inspector.finding(heat)
        odd += finding.area > 0
        lines.append((name, f"{finding.score:.9g}", *finding[1:]))
        print(f"{name}: largest heat {finding.score:.4g} at row {finding.row}, column {finding.column}; "
              + (f"defects of {finding.area:,} pixels" if finding.area else "no defect"))
        if name in targets:
            heat_maps(targets[name], [image], [heat], masks=[heat > inspector.threshold_], titles=[name])
    print(f"{odd:,} of {len(files):,} images have defects: heat above {inspector.threshold_:.4g}")
    return lines
