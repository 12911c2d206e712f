"""The README's tables of retrieval, from its result file."""

import statistics

from layout import load, made_by, table

_METRICS = {"euclidean": "Euclidean", "cosine": "cosine", "hamming": "Hamming"}


def retrieval():
    content = load("retrieval")
    r, s = content["results"], content["results"]["settings"]
    sizes = "-".join(map(str, [784, *s["hidden"]]))
    names = {"pixels": "pixels", "PCA": f"PCA, {s['code']} components",
             "PCA, bits by the median": f"PCA, {s['bits']} components, bits by the median",
             "autoencoder": f"autoencoder {sizes}-{s['code']}",
             "variational": f"variational autoencoder {sizes}-{s['code']}",
             "semantic hashing without RBMs": f"semantic hashing {sizes}-{s['bits']}",
             "semantic hashing": f"semantic hashing {sizes}-{s['bits']}, pretrained by RBMs"}
    mnist, fashion = r["images"]["mnist"], r["images"]["fashion-mnist"]
    rows = []
    for key, row in mnist.items():
        way, _, metric = key.rpartition(", ")
        rows.append([names[way], _METRICS[metric], f"{100 * row['precision']:.1f} %",
                     f"{100 * fashion[key]['precision']:.1f} %", f"{row['bytes']:,}", f"{row['ms']:.2f}"])
    note = (f"The ten nearest of {s['database']:,} training images for each of {s['queries']:,} test images. One seed. "
            f"Models were trained on {s['trained_on']:,} images without labels for {s['epochs']} epochs, which is "
            f"short (RBMs: {s['image_rbm_epochs']} a layer). Milliseconds on MNIST, on one thread of a busy machine, "
            "without encoding.\n")
    return table(["precision@10", "compared by", "MNIST", "Fashion-MNIST", "bytes an image", "ms a query"], rows) + \
        "\n\n" + note + made_by(content)


def retrieval_text():
    content = load("retrieval_text")
    r, s = content["results"]["text"], content["results"]["settings"]
    names = {"TF-IDF": f"TF-IDF, {s['words']:,} words, cosine", "LSA": f"LSA, {s['bits']} dimensions, cosine"}
    rows = []
    for way, seeds in r.items():
        shares = [100 * row["precision"] for row in seeds]
        spread = f" ± {statistics.stdev(shares):.1f}" if len(shares) > 1 else ""
        rows.append([names.get(way, way), f"{statistics.mean(shares):.1f}{spread} %", f"{seeds[0]['bytes']:,}",
                     f"{statistics.mean(row['ms'] for row in seeds):.2f}"])
    note = (f"249 BBC news articles of five categories, looked for among 800; mean and standard deviation over "
            f"{s['text_seeds']} draws of these, which are also the models' seeds. Numbers are compared by cosine, bits "
            f"by Hamming distance. {s['text_epochs']} epochs (RBMs: {s['rbm_epochs']} a layer), multinomial loss.\n")
    return table(["BBC news", "precision@10", "bytes a document", "ms a query"], rows) + "\n\n" + note + \
        made_by(content)
