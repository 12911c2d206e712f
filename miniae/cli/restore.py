"""Take the noise out of images of any size, patch by patch.

    miniae restore scans.safetensors CLEAN_IMAGES --fit --level 0.1     learns from clean images
    miniae restore scans.safetensors NOISY_IMAGES --fit --noisy         learns from noisy ones alone
    miniae restore scans.safetensors NOISY_IMAGES -o FOLDER

Images are a file or a folder of them (PNG, JPEG, TIFF, ..., of 8 or 16 bits, grey or colour), each of its own size.
--level is the deviation of the noise, where black is 0 and white 1; noisy images are asked for theirs. Results are
8-bit PNGs. For samples of one size that are rows of a model, see miniae denoise.
"""

from __future__ import annotations

import argparse

from miniae.cli import model_and_data
from miniae.cli.pictures import in_folder, read_all, readable
from miniae.data import DataError, read_picture, write_picture
from miniae.tasks import PatchDenoiser


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a denoiser's .safetensors file; with --fit, the one to write")
    parser.add_argument("images", metavar="IMAGES", help="an image, or a folder of images")
    model_and_data.add_backend(parser)
    parser.add_argument("--fit", action="store_true", help="fit a denoiser to the images and write it to MODEL")
    parser.add_argument("--noisy", action="store_true", help="with --fit: the images are noisy")
    parser.add_argument("--level", type=float, default=None, metavar="S",
                        help="with --fit: the noise's deviation, where black is 0 and white 1 (default: that of the "
                             "noisy images, by their finest details)")
    parser.add_argument("--updates", type=int, default=None, metavar="N",
                        help="with --fit: optimizer steps (default: 2000)")
    parser.add_argument("--seed", type=int, default=None, metavar="N",
                        help="with --fit: decides initial weights, noise and the choice of patches (default: 0)")
    parser.add_argument("-o", "--out", metavar="FOLDER", help="a new folder for the images without their noise")


def run(args: argparse.Namespace) -> int:
    given = {name: value for name in ("level", "updates", "seed") if (value := getattr(args, name)) is not None}
    if args.fit:
        if args.out:
            raise DataError("--fit makes a denoiser and nothing else: leave --out out, and use it afterwards")
        if not args.noisy and args.level is None:
            raise DataError("clean images do not say what noise is to be expected: add --level 0.1, say, or --noisy "
                            "where the images are noisy")
        model_and_data.check_new_model(args.model, "denoiser")
        denoiser = PatchDenoiser(backend=args.backend, **given)
        denoiser.check_parameters()
        images = read_all(args.images)
        denoiser = (denoiser.fit_noisy if args.noisy else denoiser.fit)(list(images.values()))
        denoiser.save(args.model)
        print(f"written to {args.model}: fitted to {len(images):,} {'noisy' if args.noisy else 'clean'} "
              f"image{'s' * (len(images) > 1)}, for noise of deviation {denoiser.level_:.4g}")
        return 0
    if given or args.noisy:
        raise DataError("--level, --noisy, --updates and --seed are for fitting: add --fit, or leave them out")
    if not args.out:
        raise DataError("nothing to do: say where to write with --out")
    denoiser = PatchDenoiser.load(args.model, args.backend)
    files = readable(args.images)
    with in_folder(args.out, files) as (_, targets):
        for name, file in files.items():
            try:
                clean = denoiser.denoise(read_picture(file))
            except ValueError as why:
                raise DataError(f"{file}: {why}") from None
            write_picture(targets[name], clean)
    print(f"written to {args.out}: {len(files):,} image{'s' * (len(files) > 1)}")
    return 0
