"""The worst relative error of the gradient and tangent of every function and layer, in float64, on NumPy and strict.

    python benchmarks/gradients.py          writes benchmarks/results/gradients.json
"""

from results import write

from miniae.functions.catalogue import check_all
from miniae.nn.catalogue import check_layers

results = {}
for backend in ("numpy", "strict"):
    for row in [*check_all(backend), *check_layers(backend)]:
        entry = results.setdefault(row.name, {"gradient": 0.0, "jvp": 0.0})
        entry["gradient"] = max(entry["gradient"], row.gradient_error)
        entry["jvp"] = max(entry["jvp"], row.jvp_error or 0.0)
print(f"worst gradient {max(r['gradient'] for r in results.values()):.1e}, "
      f"worst tangent {max(r['jvp'] for r in results.values()):.1e}, of {len(results)} functions and layers")
write("gradients", results)
