"""The README's tables of compression, from its result files."""

from layout import load, made_by, table


def _beside(row, peer):
    """How much better than a peer at the same size, in PSNR and SSIM."""
    if row[peer] is None:
        return "not so small or large"
    psnr, ssim = row[peer]
    return f"{row['psnr'] - psnr:+.1f} dB, {row['ssim'] - ssim:+.3f}"


def _rows(what, quality, row):
    return [what, quality, f"{row['bits']:.2f}", f"{row['psnr']:.1f} dB", f"{row['ssim']:.3f}", _beside(row, "JPEG"),
            _beside(row, "WebP")]


_HEADER = ["quality", "bits a pixel", "PSNR", "SSIM", "beside JPEG", "beside WebP"]


def compression():
    content = load("compression")
    r = content["results"]
    rows = [_rows(f"{name} ({photo['png_bits']:.1f} bits a pixel as PNG)", quality, row)
            for name, photo in r["photos"].items()
            for quality, row in zip(r["qualities"], photo["qualities"], strict=True) if quality in (20, 60, 100)]
    there, back = (r["megapixel_seconds"][name]["cpu"] for name in ("compress", "decompress"))
    note = (f"Beside: our PSNR and SSIM less the other's at the same size (+ is better). A megapixel takes {there:.1f} "
            f"s to compress and {back:.1f} s to decompress on one core.\n")
    return table(["photograph", *_HEADER], rows) + "\n\n" + note + made_by(content)


def compression_small():
    content, integers = load("compression_small"), load("compression_quantised")
    r, q = content["results"], integers["results"]["sets"]
    names = [*r["qualities"], "vector-quantised"]
    rows = [_rows(name, quality, row) for name, s in r["sets"].items()
            for quality, row in zip(names, [*s["qualities"], q[name]], strict=True)]
    png = ", ".join(f"{name} {s['png_bits']:.2f}" for name, s in r["sets"].items())
    alone = "; ".join(
        f"{name} {s['one_a_file_bits']:.2f}, vector-quantised {q[name]['one_a_file_bits']:.2f}, "
        + ", ".join(f"{peer} {bits:.2f} ({psnr:.1f} dB)" for peer, (bits, psnr) in s["peers_one_a_file"].items())
        for name, s in r["sets"].items())
    seconds = "; ".join(f"{name} {s['train_seconds']:.1f}, vector-quantised {q[name]['train_seconds']:.0f}"
                        for name, s in r["sets"].items())
    note = (f"{r['images']} test images in one file, beside one picture of all of them as JPEG and WebP; as PNG this "
            f"has {png} bits a pixel, without any loss. Bits a pixel of each in a file of its own, "
            f"where there are qualities at 50: {alone}. Training took, in seconds of a core: {seconds}.\n")
    return table(["28x28 images", *_HEADER], rows) + "\n\n" + note + "\n".join(map(made_by, (content, integers)))
