"""The README's tables of speed, each made from its results file."""

from layout import load, made_by, table

PEERS = {"bare": "bare NumPy", "pytorch": "PyTorch", "pytorch fused": "with fused Adam",
         "pytorch channels last": "and channels last", "pytorch compiled": "compiled", "keras": "Keras",
         "dezero": "DeZero"}


def cpu_training():
    parts = []
    for threads in (1, 2):
        content = load(f"cpu_training_{threads}_thread{'s' * (threads > 1)}")
        r = content["results"]
        present = [p for p in PEERS if any(p in by for m in r["models"].values() for by in m.values())]
        rows = []
        for model, batches in r["models"].items():
            for batch, by in batches.items():
                mine = by["miniae"]["ms"]
                ratios = [f"{by[p]['ms'] / mine:.2f}" if p in by else "" for p in present]
                low, high = by["miniae"]["quartiles"]
                rows.append([model, batch, f"{mine:.3g} ms ({low:.3g} to {high:.3g})", *ratios])
        head = [f"{threads} thread{'s' * (threads > 1)}", "batch", "miniae, a step", *(PEERS[p] for p in present)]
        parts.append(table(head, rows) + "\n\n" + made_by(content))
    return "What the others take, divided by what miniae takes: above 1 they take longer. Medians and quartiles of " \
        f"{r['turns']} turns.\n\n" + "\n\n".join(parts)


def scaling():
    content = load("scaling")
    r = content["results"]
    names = {"memory_float32": "float32 in memory", "memory_uint8": "bytes in memory",
             "map_float32": "a memory map of float32", "map_uint8": "a memory map of bytes"}

    def cost(rows, **what):
        """Microseconds a sample on one and on two threads, and the peak memory."""
        one, two = (next(m for m in rows if m["threads"] == threads and what.items() <= m.items())
                    for threads in (1, 2))
        return f"{one['microseconds']:.1f} / {two['microseconds']:.1f} µs, {one['own_mb']:.0f} of " \
            f"{one['peak_mb']:.0f} MB"

    sizes = sorted({m["samples"] for m in r["samples"]})
    data = [[f"784-32-784, {names[kind]}", *(cost(r["samples"], data=kind, samples=n) for n in sizes)]
            for kind in names]
    widths = [[f"784-{m['hidden'][0]}-32-{m['hidden'][0]}-784", cost(r["widths"], hidden=m["hidden"])]
              for m in r["widths"] if m["threads"] == 1]
    return table(["training, a sample on 1 / 2 threads", *(f"{n:,} samples" for n in sizes)], data) + "\n\n" + \
        table(["a wider hidden layer", f"{r['widths'][0]['samples']:,} samples"], widths) + \
        "\n\nfloat32, Adam, batch 128, the median epoch; memory is that of the process without and with the pages of " \
        "mapped files, which are the system's to take back.\n" + made_by(content)
