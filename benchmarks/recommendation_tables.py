"""The README's tables of recommenders. `tables.py` puts them in their place."""

from layout import load, made_by, table


def recommendation():
    content = load("recommendation")
    r = content["results"]
    names = {"biases": "user and item biases", "factorisation": "biases and matrix factorisation (ALS)",
             "item": "**AutoRec by items**", "user": "**AutoRec by users**", "both": "**mean of both**",
             "all": "**mean of both and of all seeds**"}
    published = {"item": "ML-1M .831, ML-10M .782 (Sedhain et al. 2015)", "user": "ML-1M .874, ML-10M .867 (the same)",
                 "factorisation": "BiasedMF: ML-1M .845, ML-10M .803 (the same)"}
    spread = {key: "" if key == "all" else f" ± {row['spread']:.4f}" for key, row in r["rows"].items()}
    rows = [[name, f"{r['rows'][key]['rmse']:.4f}{spread[key]}", published.get(key, "")] for key, name in names.items()]
    rows.append(["RBM", "", "by items ML-1M .854, ML-10M .825; by users .881, .823 (the same)"])
    rows.append(["graph convolution (GC-MC)", "", "this fold: .910, with features .905 (van den Berg et al. 2017)"])
    note = (f"20,000 ratings of u1.test, {r['seeds']} seeds; biases and factorisation have no chance in them. Settings "
            "were chosen on held-out ratings of u1.base. Published figures for ML-1M and ML-10M are of other, larger "
            "sets and random splits: they say how methods rank, not what to expect here.\n")
    return table(["MovieLens 100K, fold 1", "RMSE", "published"], rows) + "\n\n" + note + made_by(content)


def recommendation_choices():
    content = load("recommendation_choices")
    r = content["results"]
    names = {"popularity": "popularity", "neighbours": "item neighbours by cosine", "vae": "**MultinomialVAE**"}
    rows = [[name, *[f"{r['rows'][key][m]:.3f} ± {r['rows'][key][f'{m}_spread']:.3f}"
                     for m in ("recall_20", "ndcg_100")]] for key, name in names.items()]
    note = (f"Mean and standard deviation over {r['draws']} draws of 200 test users who were not there in training, of "
            "whose choices (ratings of 4 and 5) 80 % are shown; the number of neighbours and of epochs is chosen on "
            "100 further users. Liang et al. (2018) have .395 and .426 for ML-20M, a set 200 times as large.\n")
    return table(["MovieLens 100K, new users", "recall@20", "NDCG@100"], rows) + "\n\n" + note + made_by(content)
