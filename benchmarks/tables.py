"""Writes the README's tables from benchmarks/results/*.json, so that the two can't disagree.

    python benchmarks/tables.py             rewrites README.md
    python benchmarks/tables.py --check     exit code 1 when it would change
"""

import json
import sys
from pathlib import Path

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


def speed():
    content = load("speed")
    r = content["results"]
    rows = [
        ["784-128-64-32-64-128-784, Adam, batch 128: one step", f"{r['dense_step_ms_miniae']:.2f} ms",
         f"PyTorch {r['dense_step_ms_pytorch']:.2f} ms, with fused Adam {r['dense_step_ms_pytorch_fused']:.2f} ms"],
        ["RBM 784-500, batch 100, 10,000 images: one epoch", f"{r['rbm_epoch_ms_miniae']:.0f} ms",
         f"scikit-learn {r['rbm_epoch_ms_scikit_learn']:.0f} ms"],
    ]
    note = f"float32, {r['threads']} threads, medians of runs that take turns in one process.\n"
    return table(["on the CPU", "miniae", "beside it"], rows) + "\n\n" + note + made_by(content)


def gradients():
    content = load("gradients")
    rows = [[f"`{name}`", f"{e['gradient']:.0e}", f"{e['jvp']:.0e}"] for name, e in content["results"].items()]
    third = -(-len(rows) // 3)
    columns = [rows[i * third:(i + 1) * third] for i in range(3)]
    wide = [sum((c[i] if i < len(c) else ["", "", ""] for c in columns), []) for i in range(third)]
    return table(["function or layer", "gradient", "jvp"] * 3, wide) + "\n\n" + made_by(content)


TABLES = {f.__name__: f for f in (pretraining, anchors, speed, gradients)}


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
