"""A classifier that knows real digits, to say what new ones are worth."""

import numpy as np

from miniae.models import Classifier


def trained_judge(data):
    """A classifier of digits, trained on all training images."""
    return Classifier([400], head_epochs=0, epochs=4, dropout=0.2).fit(data.train, data.train_labels)


def judged(judge, samples):
    """How sure the judge is of samples, and how evenly their classes come up: entropy in nats, at most ln 10."""
    p = judge.predict_proba(samples)
    shares = np.bincount(p.argmax(1), minlength=10) / len(p)
    entropy = -sum(s * np.log(s) for s in shares if s > 0)
    return {"confidence": float(p.max(1).mean()), "sure": float((p.max(1) > 0.9).mean()),
            "smallest_class": float(shares.min()), "largest_class": float(shares.max()),
            "class_entropy": float(entropy)}
