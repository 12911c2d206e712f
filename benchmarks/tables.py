"""Writes the README's tables from benchmarks/results/*.json, so that the two can't disagree.

    python benchmarks/tables.py             rewrites README.md
    python benchmarks/tables.py --check     exit code 1 when it would change
"""

import json
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parent.parent


def load(name):
    return json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text())


def made_by(content):
    machine = content["machine"]
    versions = ", ".join(f"{k} {v}" for k, v in machine["versions"].items())
    gpu = f", {machine['gpu']}" if machine["gpu"] else ""
    return f"`{content['command']}`, {content['date']}, {machine['cores']} cores of {machine['cpu']}{gpu}; {versions}."


def table(header, rows):
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


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
    rows = [
        ["784-128-64-32-64-128-784, Adam, batch 128: one step", f"{r['dense_step_ms_miniae']:.2f} ms",
         f"PyTorch {r['dense_step_ms_pytorch']:.2f} ms, with fused Adam {r['dense_step_ms_pytorch_fused']:.2f} ms"],
        *[row for batch in (10, 100) for row in _rbm_speed(r, f"rbm_{batch}_epoch_ms", batch)],
    ]
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


def likelihood():
    content = load("likelihood")
    r = content["results"]
    rows = [[f"{name}, {r[f'{key}_epochs']} epochs, {r[f'{key}_seconds'] / 60:.0f} min",
             f"{r[f'{key}_log_z']:.2f} ± {r[f'{key}_standard_error']:.2f}", f"{r[f'{key}_train']:.2f}",
             f"{r[f'{key}_test']:.2f}", there] for key, name, there in (
        ("cd", "contrastive divergence, up to 25 steps", "-86.34 (Salakhutdinov and Murray 2008)"),
        ("pcd", "persistent chains, 5 steps", ""))]
    return table(["RBM 784-500, binarised MNIST", "log Z", "log p, training", "log p, test", "published"], rows) + \
        "\n\nIn nats an image; log Z by annealed importance sampling, 14,500 temperatures and 100 chains.\n" + \
        made_by(content)


def contractive():
    content = load("contractive")
    r = content["results"]
    rows = [[f"{name}, strength {strength:g}" + (" (chosen)" if strength == m["chosen"] else ""), f"{m['norm'][i]:.2f}",
             f"{m['error'][i]:.2f}", f"{m['test'][i]:.2f} ± {m['test_spread'][i]:.2f} %"]
            for name in ("784-500", "784-300-100") for m in [r[name]] for i, strength in enumerate(r["strengths"])]
    note = (f"MNIST, {r['images']:,} images and {r['epochs']} epochs without labels; strength 0 is the plain "
            f"autoencoder. Accuracy: mean and standard deviation over {r['draws']} draws of {r['labels']:,} labelled "
            "images; strength and regularisation chosen on 5,000 held-out training images.\n")
    return table(["encoder, penalty", "squared norm of the Jacobian, test", "squared error per test image",
                  f"right on the test set after {r['labels']:,} labels"], rows) + "\n\n" + note + made_by(content)


def vae():
    content = load("vae")
    published = {"standard": "-86.76 (Burda et al. 2016, table 1)"}
    sizes = [("-".join(map(str, [784, *r["hidden"], r["code"]])), name, r) for name, r in content["results"].items()]
    rows = [[f"{size}, {r['epochs']} epochs, {r['seconds'] / 60:.0f} min", f"{r['elbo']:.2f}",
             f"{r['log_likelihood']:.2f} ± {r['standard_error']:.2f}", published.get(name, ""), f"{r['kl']:.1f}",
             f"{r['units_above_0.01_nats']} of {r['code']}", f"{r['grey_elbo']:.2f}"] for size, name, r in sizes]
    r = sizes[0][2]
    note = (f"In nats an image, for {r['images']:,} test images; log p by {r['samples']:,} importance samples each, ± "
            f"its standard error over images. A unit is active with a KL of 0.01 nats or more. On grey pixels "
            f"{r['grey_entropy_floor']:.2f} nats of what is lost are their own entropy: those ELBOs are no "
            "likelihoods.\n")
    return table(["dynamically binarised MNIST", "ELBO", "log p", "published", "KL", "active units",
                  "ELBO, grey pixels"], rows) + "\n\n" + note + made_by(content)


def adversarial():
    content = load("adversarial")
    r = content["results"]

    def judged(row):
        return [f"{row['confidence']:.3f}", f"{100 * row['smallest_class']:.1f} to {100 * row['largest_class']:.1f} %"]

    rows = [["test images", *judged(r["real"]), "", "", ""]]
    for name, row in r["models"].items():
        rows.append([name, *judged(row), f"{row['mmd']:.4f} ± {row['mmd_noise']:.4f}", f"{row['told_apart']:.3f}",
                     f"{row['squared_error']:.2f}"])
    header = ["784-400-8-400-784", "the judge's confidence in samples", "share of a class", "MMD² of codes and prior",
              "told apart", "squared error"]
    mixture = r["mixture"]
    return table(header, rows) + \
        f"\n\n{r['images']:,} images of MNIST, {r['epochs']} epochs; the judge is right about " \
        f"{100 * r['judge_accuracy']:.1f} % of test images. With labels and codes of two numbers, " \
        f"{100 * mixture['samples_seen_as_asked']:.1f} % of samples are seen as the class that was asked for, and " \
        f"{100 * mixture['test_codes_nearest_to_their_petal']:.1f} % of test images' codes lie at their own class's " \
        f"petal.\n{made_by(content)}"


def denoising():
    content = load("denoising")
    r = content["results"]
    names = {"gaussian_0.3": "Gaussian, 0.3", "gaussian_0.5": "Gaussian, 0.5", "masking_0.5": "half of the pixels at 0"}
    methods = ("noisy", "median", "wiener", "dense", "convolutional")
    rows = [[data, name, *[f"{r[f'{key}_{noise}_{m}']:.1f} / {r[f'{key}_{noise}_{m}_ssim']:.2f}" for m in methods]]
            for key, data in (("mnist", "MNIST"), ("fashion-mnist", "Fashion-MNIST")) for noise, name in names.items()]
    note = (f"Test images, noise not clipped. Autoencoders trained on {r['images']:,} images, dense ones "
            f"(784-1000-784) for {r['dense_epochs']} epochs and convolutional ones (two strides, code 32x7x7) for "
            f"{r['conv_epochs']}; the filters' windows chosen on held-out training images.\n")
    return table(["PSNR in dB / SSIM", "noise", "noisy", "median filter", "Wiener filter", "dense", "convolutional"],
                 rows) + "\n\n" + note + made_by(content)


def sparse():
    content = load("sparse")
    r = content["results"]
    names = {"plain": "plain, sigmoid units", "kl_0.05": "KL sparsity, target 0.05",
             "kl_0.1": "KL sparsity, target 0.1", "kl_0.2": "KL sparsity, target 0.2",
             "l1_0.1": "L1 on activities, 0.1", "l1_0.3": "L1 on activities, 0.3",
             "k_10": "k-sparse, k = 10", "k_25": "k-sparse, k = 25"}
    rows = [[name, f"{r[f'{key}_mean_activity']:.3f}", f"{100 * r[f'{key}_active']:.1f} %",
             f"{r[f'{key}_lifetime_sparsity']:.2f}", f"{r[f'{key}_population_sparsity']:.2f}", r[f"{key}_dead"],
             f"{r[f'{key}_squared_error']:.2f}"] for key, name in names.items()]
    note = (f"784-{r['units']}-784, {r['images']:,} training images, {r['epochs']} epochs; all measured on test "
            "images. A sigmoid unit counts as active above 0.1, others above 0; sparsity is that of Treves and Rolls, "
            "from 0 to 1.\n")
    return table(["MNIST", "mean activity", "active units", "lifetime sparsity", "population sparsity", "dead units",
                  "squared error"], rows) + "\n\n" + note + made_by(content)




def convolutional():
    content = load("convolutional")
    r = content["results"]
    names = {
        "compressor": "the classic compressor, 16-8-8 filters, pooled", "strided": "strided, 16-32 filters, dense code",
        "vq": "vector-quantised, 16-32 filters", "pca_128": "PCA", "pca_32": "PCA", "jpeg": "JPEG",
    }

    def cost(name, e):
        if "numbers" in e and "perplexity" not in e:
            return f"{e['numbers']} numbers"
        entropy = f", {e['entropy_bits_per_pixel']:.2f} as coded by their entropy" if "perplexity" in e else ""
        return f"{e['bits_per_pixel']:.2f} bits a pixel{entropy}"

    rows = []
    for key, name in names.items():
        pair = [r[data].get(key) for data in ("mnist", "fashion-mnist")]
        if all(pair):
            rows.append([name, " / ".join(dict.fromkeys(cost(key, e) for e in pair)),
                         " / ".join(f"{e['mse']:.4f}" for e in pair), " / ".join(f"{e['psnr']:.2f} dB" for e in pair),
                         " / ".join(f"{e['seconds']:.0f} s" for e in pair) if "seconds" in pair[0] else ""])
    vq = [r[data]["vq"] for data in ("mnist", "fashion-mnist")]
    note = (f"{r['images']:,} training images, times each was seen: {r['epochs']}; learning rates not tuned; one "
            f"thread of a busy machine. The codebook of 256 vectors has a perplexity of {vq[0]['perplexity']:.0f} / "
            f"{vq[1]['perplexity']:.0f}.\n")
    return table(["MNIST / Fashion-MNIST", "what is kept of an image", "squared error a pixel", "PSNR", "training"],
                 rows) + "\n\n" + note + made_by(content)


def comparison():
    content = load("comparison")
    r = content["results"]

    def share(row, key):
        return f"{100 * row[key]:.1f} %" if key in row else "-"

    def judged(row):
        return [f"{row['confidence']:.3f}", f"{row['class_entropy']:.2f}"]

    def length(row):
        return f"{row['epochs']:.1f} epochs" if "epochs" in row else f"{row['seconds']:.1f} s"

    rows = [["test images", "", "", "", "", "", *judged(r["real"])]]
    rows += [[row["title"], length(row), f"{row['squared_error']:.2f}", share(row, "neighbours"), share(row, "linear"),
              row["samples_from"], *judged(row)] for row in r["variants"].values()]
    note = (f"{r['seconds']:.0f} s of one core each, pretraining included: the column says how often that shows all "
            f"60,000 training images. Layers 784-{r['hidden']}-{r['code']}-{r['hidden']}-784 where they are dense, "
            f"cross-entropy, Adam; one seed. Codes of test images are classified among {r['labelled']:,} labelled "
            "ones, by 5 neighbours or by logistic regression. The judge is a classifier of real digits, right about "
            f"{100 * r['judge_accuracy']:.1f} % of test images; the entropy of the classes it sees in "
            f"{r['samples']:,} new images is at most ln 10 = {r['uniform_entropy']:.2f}. Told the label, "
            f"{100 * r['variants']['conditional']['seen_as_asked']:.1f} % of new images are seen as the class that was "
            "asked for.\n")
    return table(["MNIST, code of 16", "trained for", "squared error per test image", "5 neighbours", "linear",
                  "new images from", "judge's confidence", "class entropy, nats"], rows) + "\n\n" + note + \
        made_by(content)


TABLES = {f.__name__: f for f in (pretraining, hinton2006, initialisation, classification, likelihood, anchors, speed,
                                  gradients)}


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
