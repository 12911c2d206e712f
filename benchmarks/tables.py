"""Writes the README's tables from benchmarks/results/*.json, so that the two can't disagree.

    python benchmarks/tables.py             rewrites README.md
    python benchmarks/tables.py --check     exit code 1 when it would change
"""

import sys

import numpy as np
from compression_tables import compression, compression_small
from detection_tables import detection, detection_images
from ecosystem_tables import conventions, fuzz, kills, ranks
from feature_tables import features
from gpu_tables import gpu_check
from inspection_tables import inspection, inspection_noise
from layout import ROOT, load, made_by, table
from maps_tables import maps
from recommendation_tables import recommendation, recommendation_choices
from retrieval_tables import retrieval, retrieval_text
from series_tables import series, speech
from speed_tables import cpu_training, scaling
from variant_tables import adversarial, comparison, contractive, convolutional, denoising, sparse, vae


def pretraining():
    content = load("pretraining")
    r = content["results"]
    rows = [
        ["PCA, 16 components", f"{r['pca']:.2f}", ""],
        ["784-512-256-16, sigmoid, **pretrained by RBMs**", f"**{r['pretrained']:.2f}**",
         f"{r['pretrained_seconds']:.0f} s"],
        ["the same without pretraining, for the same time", f"{r['not_pretrained_sigmoid']:.2f}",
         f"{r['not_pretrained_sigmoid_epochs']} epochs"],
        ["the same sizes with ReLU, without pretraining, for the same time", f"{r['not_pretrained_relu']:.2f}",
         f"{r['not_pretrained_relu_epochs']} epochs"],
    ]
    return table(["bundled digits, code of 16", "squared error per test image", "training"], rows) + "\n\n" + \
        made_by(content)


def anchors():
    content = load("anchors")
    r = content["results"]
    rows = [
        ["PCA, 30 components: squared error per test image", f"{r['pca_30']:.2f}",
         "13.87 (Hinton and Salakhutdinov 2006)"],
        ["predicting the training mean", f"{r['training_mean']:.2f}", ""],
        ["entropy of grey pixels, the floor of cross-entropy", f"{r['bce_floor']:.2f} nats", ""],
    ]
    return table(["full MNIST", "measured", "published"], rows) + "\n\n" + made_by(content)


def own_tables():
    content = load("own_tables")
    r = content["results"]
    rows = [[name, f"{e['rows']:,} x {e['columns']}", e["code"], f"{e['pca']:.3g}", f"{e['images']:.3g}",
             f"**{e['tables']:.3g}**", f"{e['images_ratio']:.2f}", f"{e['32-8-2_ratio']:.2f}", f"**{e['ratio']:.2f}**",
             f"{e['worse']} of {e['seeds']}", f"{e['seconds']:.1f} s"] for name, e in r.items()]
    all_of = {key: np.exp(np.mean([np.log(e[key]) for e in r.values()]))
              for key in ("images_ratio", "32-8-2_ratio", "ratio")}
    rows.append(["geometric mean", "", "", "", "", "", *(f"{mean:.2f}" for mean in all_of.values()), "", ""])
    header = ["table", "rows x columns", "code", "PCA", "as images are", "as tables are", "as images / PCA",
              "`--layers 32-8-2` / PCA", "as tables / PCA", "worse than PCA", "training"]
    return table(header, rows) + "\n\n" + made_by(content)


def _rbm_speed(r, name, batch):
    """The rows of one batch size: what runs, how long, and the same beside scikit-learn."""
    ours = [("contrastive divergence", "miniae"), ("the same with momentum and weight cost", "miniae_default"),
            ("persistent chains", "miniae_persistent"), ("its five matrix products, nothing else", "products")]
    theirs, doubles = r[f"{name}_scikit_learn"], r[f"{name}_scikit_learn_float64"]
    return [[f"RBM 784-500, batch {batch}, an epoch of 10,000 images: {what}", f"{r[f'{name}_{key}']:.0f} ms",
             f"scikit-learn {theirs:.0f} ms ({theirs / r[f'{name}_{key}']:.2f} times as long), given float64 "
             f"{doubles:.0f} ms ({doubles / r[f'{name}_{key}']:.2f} times)"] for what, key in ours]


def speed():
    content = load("speed")
    r = content["results"]
    rows = [row for batch in (10, 100) for row in _rbm_speed(r, f"rbm_{batch}_epoch_ms", batch)]
    threads = f"{r['threads']} thread{'s' * (r['threads'] > 1)}"
    note = f"float32, {threads}, medians of runs that take turns in one process.\n"
    return table(["on the CPU", "miniae", "beside it"], rows) + "\n\n" + note + made_by(content)


def gradients():
    content = load("gradients")
    rows = [[f"`{name}`", f"{e['gradient']:.0e}", f"{e['jvp']:.0e}"] for name, e in content["results"].items()]
    third = -(-len(rows) // 3)
    columns = [rows[i * third:(i + 1) * third] for i in range(3)]
    wide = [sum((c[i] if i < len(c) else ["", "", ""] for c in columns), []) for i in range(third)]
    return table(["function or layer", "gradient", "jvp"] * 3, wide) + "\n\n" + made_by(content)


def hinton2006():
    content = load("hinton2006")
    r = content["results"]
    published = {"deep": "3.00", "logistic_pca": "8.01", "pca": "13.87"}
    names = {
        "deep": "784-1000-500-250-30, **pretrained by RBMs**, unrolled, fine-tuned",
        "not_pretrained": "the same from weights N(0, 0.1), without pretraining",
        "shallow": f"784-{r['shallow_hidden']}-30, as many parameters, without pretraining",
        "logistic_pca": "logistic PCA, 30 components",
        "pca": "PCA, 30 components",
    }
    rows = [[name, f"{r[key]:.2f}", published.get(key, "")] for key, name in names.items()]
    rows += [["the pretrained stack before fine-tuning", f"{r['stack']:.2f}", ""],
             ["784-1000-500-250-2, fine-tuned", f"{r['deep_2']:.2f}", ""],
             ["PCA, 2 components", f"{r['pca_2']:.2f}", ""]]
    near = ", ".join(f"{100 * r[f'neighbours_{key}']:.1f} % {name}" for key, name in (
        ("deep", "in the 30-D codes"), ("pca", "in 30 principal components"), ("deep_2", "in the 2-D map"),
        ("pca_2", "in two principal components")))
    note = (f"Pretraining took {r['pretraining_seconds'] / 60:.0f} min and fine-tuning "
            f"{r['fine_tuning_seconds'] / 60:.0f} min, on one thread of a busy machine. Digits classified by their "
            f"five nearest neighbours: {near}.\n")
    return table(["full MNIST, squared error per test image", "measured", "the paper"], rows) + "\n\n" + note + \
        made_by(content)


def at(curve, seconds):
    """The error when the time was up, between the points that a minibatch, which may be long, has on either side."""
    return float(np.interp(seconds, *zip(*curve, strict=True)))


def initialisation():
    content = load("initialisation")
    r = content["results"]
    errors = {name: at(curve, r["seconds"]) for name, curve in r["curves"].items()}
    rows = [[name, f"{error:.2f}"] for name, error in sorted(errors.items(), key=lambda item: item[1])]
    note = (f"{r['seconds']:.0f} s of one core each, of which pretraining by RBMs (5 epochs a layer) took "
            f"{r['pretraining_seconds']:.0f} s. Learning rates are not tuned: 0.001 for SGD (momentum 0.9) and Adam.\n")
    return table(["784-1000-500-250-30: initial weights, optimizer", "squared error per test image"], rows) + \
        "\n\n" + note + made_by(content)


def classification():
    content = load("classification")
    r = content["results"]
    deep = [["784-500-500-2000-10, pretrained by RBMs", f"{r['deep_rbm']:.2f} %", "1.2 % (2006)"],
            ["the same, pretrained by denoising autoencoders", f"{r['deep_denoising']:.2f} %", ""],
            ["the same, sigmoid units from random weights", f"{r['deep_sigmoid']:.2f} %", "1.6 % (2006)"],
            ["the same, ReLU units from random weights", f"{r['deep_relu']:.2f} %", ""]]
    published = {100: "18.3 / 24.0 %", 1000: "6.35 / 11.29 %", 10000: "2.73 / 5.27 %", 60000: "1.27 / 1.80 %"}

    def spread(key):
        return f"{r[key]:.2f} ± {r[f'{key}_spread']:.2f} %"

    few = [[f"784-1024-10, {n:,} labels: pretrained by an RBM / not", f"{spread(f'rbm_{n}')} / {spread(f'random_{n}')}",
            published[n]] for n in published]
    note = (f"Mean and standard deviation over {r['seeds']} seeds, which draw the labelled images and the initial "
            "weights; the RBM was trained once, on all images. Pretrained deep networks have 2 epochs for their head "
            "alone before the 20 of all.\n")
    return table(["full MNIST, wrong on the test set", "measured", "published"], deep + few) + "\n\n" + note + \
        made_by(content)


def precision():
    content = load("precision")
    r = content["results"]

    def both(values):
        return " / ".join(f"{value:.2f}" for value in values)

    rows = [[name, both(r[name]["last_epoch"]), both(r[name]["test_squared_error"]),
             both(r[name]["test_squared_error_in_float32"])] for name in ("float32", "tf32", "float16", "bfloat16")]
    note = (f"784-128-32, {r['epochs']} epochs, {r['seeds']} seeds, the same initial weights and shuffles for each "
            "precision. Emulated on the CPU: this is what it costs in accuracy, not what it saves in time.\n")
    return table(["MNIST: operands of products", "squared error per image, training, last epoch",
                  "test, in that precision", "test, in float32"], rows) + "\n\n" + note + made_by(content)


def likelihood():
    content = load("likelihood")
    r = content["results"]
    rows = [[f"{name}, {r[f'{key}_epochs']} epochs, {r[f'{key}_seconds'] / 60:.0f} min",
             f"{r[f'{key}_log_z']:.2f} ± {r[f'{key}_standard_error']:.2f}", f"{r[f'{key}_train']:.2f}",
             f"{r[f'{key}_test']:.2f}", there] for key, name, there in (
        ("cd", "contrastive divergence, up to 25 steps", "-86.34 (Salakhutdinov and Murray 2008)"),
        ("pcd", "persistent chains, 5 steps", ""))]
    return table(["RBM 784-500, binarised MNIST", "log Z", "log p, training", "log p, test", "published"], rows) + \
        "\n\nIn nats an image; log Z by annealed importance sampling, 14,500 temperatures and 100 chains. Minutes " \
        "are those of a machine with other work, for the persistent chains most of all.\n" + \
        made_by(content)


TABLES = {f.__name__: f for f in (pretraining, hinton2006, initialisation, classification, likelihood, anchors,
                                  own_tables, cpu_training, speed, scaling, gpu_check, precision, comparison, denoising,
                                  sparse, contractive, convolutional, vae, adversarial, detection, detection_images,
                                  retrieval, retrieval_text, recommendation, recommendation_choices, features, maps,
                                  compression, compression_small, inspection, inspection_noise, series, speech,
                                  gradients, conventions, kills, fuzz, ranks)}


def filled(text):
    """The README with every table written anew between its markers."""
    for name, make in TABLES.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
        before, _, rest = text.partition(begin)
        _, found, after = rest.partition(end)
        if not found:
            raise SystemExit(f"README.md has no markers for the table {name}")
        text = before + begin + make() + "\n" + end + after
    return text


if __name__ == "__main__":
    readme = ROOT / "README.md"
    old = readme.read_text()
    new = filled(old)
    if "--check" in sys.argv[1:]:
        sys.exit(old != new)
    readme.write_text(new)
