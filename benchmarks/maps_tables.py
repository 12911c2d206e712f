"""The README's table of maps, from its result file."""

from layout import load, made_by, table

_WAYS = {"PCA": "PCA", "autoencoder": "autoencoder {}-{}", "tsne of pixels": "t-SNE of pixels",
         "tsne of codes": "t-SNE of 30 numbers of an autoencoder", "umap of pixels": "UMAP of pixels",
         "umap of codes": "UMAP of 30 numbers of an autoencoder"}


def maps():
    content = load("maps")
    r, s = content["results"], content["results"]["settings"]
    sizes = "-".join(map(str, [784, *s["hidden"]]))
    rows = []
    for dimensions in (n for n in (2, 3) if f"mnist_{n}" in r):
        of_mnist, of_fashion = (r[f"{name}_{dimensions}"] for name in ("mnist", "fashion-mnist"))
        for way, name in _WAYS.items():
            cells = []
            for row in (of_mnist[way], of_fashion[way]):
                cells += [f"{row['trustworthiness']:.3f}", f"{row['continuity']:.3f}", f"{100 * row['accuracy']:.1f} %"]
            rows.append([dimensions, name.format(sizes, dimensions), *cells, f"{of_mnist[way]['seconds']:.1f}"])
    k = s["neighbours"]
    note = (f"{s['mapped']:,} test images of each set, {k} neighbours; right: test images of which most of the {k} "
            f"nearest others on the map are of their class. PCA and autoencoders are fitted to {s['trained_on']:,} "
            f"training images ({s['epochs']} epochs, not tuned) and place the test images unseen; t-SNE and UMAP lay "
            "out the test images themselves, by their libraries' settings. Seconds of the processor, on MNIST; of the "
            f"autoencoder with {s['code']} numbers, {r['mnist_code_seconds']:.0f} more. One seed.\n")
    return table(["", "map", "MNIST: trustworthiness", "continuity", "right", "Fashion-MNIST: trustworthiness",
                  "continuity", "right", "seconds"], rows) + "\n\n" + note + made_by(content)
