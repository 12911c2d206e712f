"""Every kernel, and whole training steps, beside the machine's roofline, which is measured in the same run.

    python benchmarks/kernels.py            writes benchmarks/results/kernels.json and kernels.png
    python benchmarks/kernels.py --quick    the same for a look, into the folder where it is started

What is measured, and what counts as the least work, say `miniae.tasks.kernels` and `miniae.tasks.bench`.
"""

import os
import sys

from results import FOLDER, write

from miniae.backend import BackendUnavailable, get
from miniae.data import write_json
from miniae.report import roofline_shares
from miniae.tasks import Sizes, bench

quick = "--quick" in sys.argv[1:]
results = {"threads": int(os.environ.get("OMP_NUM_THREADS", os.cpu_count()))}
backends = {}
for name in ("numpy", "cupy"):
    try:
        backends[name] = bench(get(name), Sizes.quick() if quick else Sizes(), print)
    except BackendUnavailable as why:
        print(f"without {name}: {why}")
results["backends"] = backends
if quick:
    write_json("kernels.json", results)
    roofline_shares("kernels.png", backends)
else:
    write("kernels", results)
    roofline_shares(FOLDER / "kernels.png", backends)
