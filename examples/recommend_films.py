"""Films for a user of MovieLens 100K: AutoRec learns from 80,000 ratings, and predicts those that are held out.

    python examples/recommend_films.py [USER]

Where $MINIAE_DATA/ml-100k is absent, users and films are made up: three tastes, and films of three kinds.
"""

import os
import sys
from pathlib import Path

import matplotlib
import numpy as np

from miniae import AutoRec
from miniae.training import ProgressBar

folder = Path(os.environ.get("MINIAE_DATA", "data")) / "ml-100k"
if folder.is_dir():
    (train, test) = (np.loadtxt(folder / name, dtype=np.int64).T[:3] for name in ("u1.base", "u1.test"))
    lines = (folder / "u.item").read_text(encoding="latin-1").splitlines()
    titles, epochs = {int(line.split("|")[0]): line.split("|")[1] for line in lines}, 12
else:
    rng = np.random.default_rng(0)
    users, films = np.nonzero(rng.random((300, 150)) < 0.2)
    stars = np.clip(np.round(rng.normal(np.where(users % 3 == films % 3, 4.2, 2.4), 0.7)), 1, 5).astype(int)
    held_out = rng.random(len(users)) < 0.1
    train, test = (np.stack([users, films, stars])[:, part] for part in (~held_out, held_out))
    titles, epochs = {film: f"{('comedy', 'thriller', 'western')[film % 3]} {film}" for film in range(150)}, 200


def rmse(predicted):
    return np.sqrt(np.mean((predicted - test[2]) ** 2))


model = AutoRec(code=100, epochs=epochs)
model.fit(tuple(train), callbacks=[ProgressBar("AutoRec")])
predicted = model.predict(test[0], test[1])
biases = model.baseline(test[0], test[1])
print(f"RMSE of {len(test[2]):,} ratings held out: {rmse(predicted):.4f}, by biases alone {rmse(biases):.4f}")

user = int(sys.argv[1]) if len(sys.argv) > 1 else int(train[0][0])
liked = train[1][(train[0] == user) & (train[2] == 5)][:5]
print(f"user {user} likes " + "; ".join(titles[film] for film in liked.tolist()))
films, scores = model.recommend(user, k=10)
for film, score in zip(films.tolist(), scores.tolist(), strict=True):
    print(f"{score:6.2f}  {titles[film]}")

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402  after the choice of where to draw

figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
axes.barh([titles[film] for film in films.tolist()][::-1], scores[::-1])
axes.set(xlim=(min(scores) - 0.3, max(scores) + 0.1), xlabel="predicted rating", title=f"What user {user} might like")
path = Path("runs/examples/recommend_films.png")
path.parent.mkdir(parents=True, exist_ok=True)
figure.savefig(path, dpi=120)
print(f"drawn to {path}")
