"""The README's tables of the kinds of autoencoders, each from its result file. `tables.py` puts them in their place."""

from layout import load, made_by, table


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
             f"{r['units_above_0.01_nats']} of {r['code']}", f"{r['grey_elbo']:.2f}",
             f"{r['images']:,}, {r['samples']:,}"] for size, name, r in sizes]
    r = sizes[0][2]
    note = ("In nats an image of the test set; log p of so many images by so many importance samples each, ± its "
            f"standard error over images. A unit is active with a KL of 0.01 nats or more. On grey pixels "
            f"{r['grey_entropy_floor']:.2f} nats of what is lost are their own entropy: those ELBOs are no "
            "likelihoods.\n")
    return table(["dynamically binarised MNIST", "ELBO", "log p", "published", "KL", "active units",
                  "ELBO, grey pixels", "images, samples"], rows) + "\n\n" + note + made_by(content)


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
    note = (f"{r['images']:,} training images, {r['epochs']} epochs in batches of 32 by Adam with its default learning "
            f"rate; one thread of a busy machine. The codebook of 256 vectors has a perplexity of "
            f"{vq[0]['perplexity']:.0f} / {vq[1]['perplexity']:.0f}.\n")
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
