"""Finding defects in a texture: scikit-image's brick wall where that is installed, else a woven cloth that is drawn.

    python examples/inspect_texture.py [--quick]

Fits an inspector to the left half, damages the right half in three places, and finds them again.
"""

import sys
from pathlib import Path

import numpy as np

from miniae import TextureInspector
from miniae.report import heat_maps, roc_auc

rng = np.random.default_rng(0)
try:
    if "--quick" in sys.argv:
        raise ImportError("the quick form draws its own")
    from skimage.data import brick

    name, image = "brick wall", (brick() / 255).astype(np.float32)
except ImportError:  # threads over and under one another, a little uneven
    name, n = "woven cloth", 256
    rows, columns = np.indices((n, n)) + np.cumsum(rng.normal(0, 0.05, (2, n, 1)), axis=1)
    over = np.sign(np.sin(rows * np.pi / 6) * np.sin(columns * np.pi / 6))
    image = 0.5 + 0.15 * np.where(over > 0, np.abs(np.sin(rows * np.pi / 6)), -np.abs(np.sin(columns * np.pi / 6)))
    image = (image + 0.03 * rng.standard_normal((n, n))).astype(np.float32)

half = image.shape[1] // 2
clean, damaged = image[:, :half], image[:, half:].copy()
third = len(damaged) // 3
defect = np.zeros(damaged.shape, bool)
defect[third // 2:third // 2 + 3, 20:half - 20] = True  # a scratch
damaged[defect] += 0.3
flat = np.s_[third + 20:third + 44, half // 2 - 12:half // 2 + 12]  # the structure is missing
damaged[flat] = damaged[flat].mean()
dark = np.s_[2 * third + 20:2 * third + 48, half // 3 - 14:half // 3 + 14]  # a stain
damaged[dark] -= 0.15
defect[flat] = defect[dark] = True
damaged = np.clip(damaged, 0, 1)

inspector = TextureInspector(updates=300 if "--quick" in sys.argv else 600).fit(clean)
heat = inspector.heat_map(damaged)
found = heat > inspector.threshold_
print(f"{name}: heat above {inspector.threshold_:.1f} is a defect; the largest is {heat.max():.1f}")
for what, place in (("scratch", np.s_[third // 2:third // 2 + 3]), ("missing structure", flat), ("stain", dark)):
    print(f"{what}: {found[place][defect[place]].mean():.0%} of its pixels found")
print(f"false alarms: {found[~defect].mean():.1%} of the other pixels; ROC-AUC "
      f"{roc_auc(defect.ravel(), heat.ravel()):.3f}")

folder = Path("runs/examples")
folder.mkdir(parents=True, exist_ok=True)
heat_maps(folder / "inspect_texture.png", [damaged], [heat], masks=[found], titles=[name])
print(f"drawn to {folder}/inspect_texture.png")
