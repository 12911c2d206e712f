"""The README's tables on other libraries, on runs that are killed, on damaged files, and on several processes."""

from layout import load, made_by, table


def conventions():
    content = load("conventions")
    kinds = {}
    for name, row in content["results"].items():
        what = (row["passed"], row["explained"], row["failed"], "; ".join(row["why"]))
        kinds.setdefault(what, []).append({"scaled rbm": "RBM of Bernoulli units behind a MinMaxScaler",
                                           "scaled dbn": "DeepBeliefNetwork behind one"}.get(name, row["class"]))
    rows = [[", ".join(names) + " (each)" * (len(names) > 1), passed,
             f"{explained}{': ' * bool(explained)}{why}", failed]
            for (passed, explained, failed, why), names in sorted(kinds.items(), key=lambda kind: -len(kind[1]))]
    skipped = sorted({name for row in content["results"].values() for name in row["skipped"]})
    return table(["estimator", "checks passed", "explained", "failed"], rows) + (
        f"\n\nSkipped by scikit-learn itself where its packages or settings are missing: {', '.join(skipped)}."
        if skipped else "") + f"\n\n{made_by(content)}"


def kills():
    content = load("kills")
    rows = [[name, r["kills"], r["training"], r["writing"], r["results"], f"{r['same']} of {r['runs']}"]
            for name, r in content["results"].items()]
    return table(["model", "kills", "while it trained", "while it wrote a checkpoint", "while it wrote the results",
                  "runs that ended with the same bits"], rows) + "\n\n" + made_by(content)


def fuzz():
    content = load("fuzz")
    kinds, total = content["results"]["kinds"], content["results"]["total"]
    slow, fast = (f(kinds, key=lambda name: kinds[name]["files_per_second"]) for f in (min, max))
    rows = [["kinds of files", len(kinds)], ["files tried", f"{total['files']:,}"], ["seconds", total["seconds"]],
            ["files a second", f"{kinds[slow]['files_per_second']:.0f} ({slow}) to "
                               f"{kinds[fast]['files_per_second']:,.0f} ({fast})"],
            ["crashes, other errors, more memory or time than allowed", total["failures"]]]
    return table(["guided by the code that each file reaches", ""], rows) + "\n\n" + made_by(content)


def ranks():
    content = load("ranks")
    r = content["results"]
    rows = []
    for name, model in r["models"].items():
        least, steps = model["least_processor_step_ms"], model["median_step_ms"]
        rows.append([name, f"{steps['1 rank, 1024']:.0f} ms", f"{steps['2 ranks, 1024']:.0f} ms",
                     f"{100 * model['efficiency_of_2_median']:.0f} %", f"{least['1 rank, 1024']:.0f} ms",
                     f"{100 * model['efficiency_of_2_on_free_cores']:.0f} %",
                     f"{100 * model['predicted_efficiency_of_2']:.0f} %"])
    measured = table(["batch 1024", "a step, 1 process", "2 processes", "efficiency, by the clock",
                      "processor time, 1 process", "efficiency of free cores", "by the model"], rows)
    counts = ["2", "4", "8", "16", "32", "64"]
    predicted = table(["predicted speed-up (a model, not a measurement)", *counts],
                      [[name, *(f"{speed[n]:.1f}" for n in counts)] for name, speed in r["predicted_speed_up"].items()
                       if "a core as measured" in name])
    return f"{measured}\n\n{predicted}\n\n{made_by(content)} {r['library'].split(',')[0]}."
