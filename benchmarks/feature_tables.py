"""The README's table of features for a classifier, from its result file."""

import statistics

from layout import load, made_by, table


def _accuracy(runs):
    values = [100 * run["accuracy"] for run in runs]
    return f"{statistics.mean(values):.1f}" + (f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else "")


def features():
    content = load("features")
    r = content["results"]
    sizes, plans = "-".join(map(str, [784, *r["sizes"]])), r["plans"]
    parts = []
    for name, title in (("mnist", "MNIST"), ("fashion-mnist", "Fashion-MNIST")):
        rows = [[what, *(_accuracy(r[name][labels][way]) for labels in plans)] for way, what in r["ways"].items()]
        parts.append(table([f"{title}: right on the test set, %", *(f"{int(n):,} labels" for n in plans)], rows))
    seeds = ", ".join(str(plan[0]) for plan in plans.values())
    note = (f"Denoising autoencoder {sizes}, {r['epochs']} epochs, and RBMs of the same sizes, {r['rbm_epochs']} "
            "epochs a layer, on all 60,000 images without labels. Mean and standard deviation over "
            f"{seeds} draws of as many labelled images of each class, the same for every way; they are the networks' "
            "seeds, too. C of logistic regression by held-out labelled images; networks by one rule for all, without "
            "choosing.\n")
    return "\n\n".join(parts) + "\n\n" + note + made_by(content)
