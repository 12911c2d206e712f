"""The README's tables of what ran on a GPU, made from the results file of gpu_check.py where there is one."""

import json

from layout import ROOT, made_by, table

RESULTS = ROOT / "benchmarks" / "results" / "gpu_check.json"
NONE_YET = ("No run on a GPU has been made yet. The tests compile the CUDA sources for sm_80 and sm_90, and run them "
            "on the CPU.")
WAYS = ("eager", "eager, fused Adam", "eager, channels last", "reduce-overhead", "captured", "captured, channels last",
        "miniae on NumPy")


def gpu_check(path=RESULTS):
    """All tables; of parts that have not run there are none."""
    if not path.exists():
        return NONE_YET
    content = json.loads(path.read_text())
    results = content["results"]
    parts = [_agreement(results), _speed(results.get("speed")), _roofline(results.get("roofline"))]
    driver, cuda = content["machine"].get("driver", ""), content["machine"].get("cuda", "")
    made = made_by(content)[:-1] + (f"; driver of CUDA {_version(driver)}, CUDA {_version(cuda)}." if driver else ".")
    return "\n\n".join([part for part in parts if part] + [made])


def _version(number):
    """13000 is 13.0."""
    return f"{number // 1000}.{number % 1000 // 10}"


def _worst(values):
    """The largest number; what is no number has been written as text, and is worse."""
    return max(values, key=lambda v: float("inf") if isinstance(v, str) else v)


def _shown(value):
    return value if isinstance(value, str) else f"{value:.1e}"


def _agreement(results):
    rows = []
    kernels, gradients = results.get("kernels", {}).get("kernels"), results.get("gradients", {})
    if kernels:
        rows.append([f"{len(kernels)} kernels: worst error", f"{_shown(_worst(kernels.values()))} of the tolerance",
                     "at most 1"])
    for name, what, bound in (("gradients", "float64 gradients of whole models, from NumPy's", "1e-10"),
                              ("differences", "gradients of functions, from central differences", "1e-6")):
        if gradients.get(name):
            rows.append([what, _shown(_worst(gradients[name].values())), f"at most {bound}"])
    for name, curve in results.get("curves", {}).get("curves", {}).items():
        rows.append([f"float32 losses of {curve['steps']} steps, from NumPy's: {name}",
                     _shown(curve["largest_difference"]), "at most 1e-4"])
    for name, replay in results.get("replay", {}).get("replay", {}).items():
        rows.append([f"replayed steps leave the same bits: {name}",
                     f"{'yes' if replay['same_bits'] else 'NO'}, {replay['graphed']} of {replay['steps']} steps as a "
                     "graph",
                     "yes"])
    suite = results.get("suite", {}).get("suite")
    if suite:
        rows.append(["the tests", f"{suite['passed']} passed, {suite['failed']} failed, {suite['skipped']} skipped; "
                     f"{suite['finished']} of {suite['files']} files", "none failed"])
    hinton = results.get("hinton2006", {}).get("hinton2006")
    if hinton and "deep" in hinton:
        on_cpu = hinton["on_cpu"]
        minutes = (on_cpu["pretraining_seconds"] + on_cpu["fine_tuning_seconds"]) / 60
        rows.append([f"hinton2006, {hinton['epochs']} epochs a layer: squared error per test image",
                     f"{hinton['deep']:.2f}, {hinton['whole_seconds']:.0f} s",
                     f"on a CPU {on_cpu['deep']:.2f}, {minutes:.0f} min; less than {hinton['target']['seconds']} s"])
    return table(["on the GPU", "measured", "wanted"], rows) if rows else ""


def _speed(part):
    if not part:
        return ""
    if not part.get("cases"):
        return part.get("without_pytorch", "")
    cases = part["cases"]
    present = [way for way in WAYS if any(way in case["ms"] for case in cases.values())]
    rows = []
    for name, case in cases.items():
        mine = case["ms"].get("miniae")
        low, high = mine["quartiles"] if mine else (0, 0)
        targets = [f"{who} {t['wanted']:g}: {'met' if t['met'] else 'short'}" for who, t in case["targets"].items()]
        rows.append([name, f"{mine['median']:.3g} ms ({low:.3g} to {high:.3g})" if mine else "",
                     f"{1e3 / mine['median']:.0f}" if mine else "",
                     *(f"{case['ratios'][way]:.2f}" if way in case["ratios"] else "" for way in present),
                     case["bound_by"] or "", "; ".join(targets)])
    note = ("What the others take, divided by what miniae takes: above 1 they take longer. float32, without TF32 but "
            "in rows that say so; medians and quartiles of turns. PyTorch is bound by launches where its eager step "
            "takes 1.5 times as long as its captured one.")
    head = ["a training step", "miniae", "steps a second", *present, "bound by", "targets"]
    missing = part.get("without_pytorch")
    return note + (f" {missing}." if missing else "") + "\n\n" + table(head, rows)


def _roofline(part):
    if not part or not part.get("timings"):
        return ""
    rates = part["rates"]
    rows = []
    for row in part["timings"]:
        best = min(us for us in (row["us"], row["graph_us"]) if us is not None)
        rows.append([row["name"], row["shape"], f"{row['us']:.1f}",
                     "" if row["graph_us"] is None else f"{row['graph_us']:.1f}", f"{row['bytes'] / best / 1e3:.0f}",
                     f"{row['flops'] / best / 1e3:.0f}" if row["flops"] else "", f"{100 * row['share']:.0f} %"])
    tf32 = "" if rates["tf32_flops"] is None else \
        f", {rates['tf32_flops'] / 1e12:.1f} with TF32 (by {rates['tf32_by']})"
    costs = ", ".join(f"{name} {us:.1f}" for name, us in part["overhead_us"].items())
    note = (f"A large copy moves {rates['copy_bytes'] / 1e9:.0f} GB/s, large matrix products make "
            f"{rates['matmul_flops'] / 1e12:.1f} TFLOP/s{tf32}. Microseconds of Python for a launch: {costs}.")
    return note + "\n\n" + table(["kernel", "shape", "µs", "µs in a graph", "GB/s", "GFLOP/s", "of the roofline"], rows)
