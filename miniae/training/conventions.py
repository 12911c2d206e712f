"""What scikit-learn's conventions ask of an estimator beyond `fit` and `get_params`.

scikit-learn is never imported to find that out: only where it, or pandas, is at work already.
"""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from miniae.data.arrays import feature_names
from miniae.training.notice import warn

__all__ = ["Conventions", "NotFittedError", "Transformer", "column_vector_warning"]


class NotFittedError(ValueError, AttributeError):
    """The model has no weights yet: call `fit` first.

    Where scikit-learn is loaded, what is raised is its own `NotFittedError`, too.
    """

    def __new__(cls, *args: Any) -> NotFittedError:
        kind: Any = cls
        theirs = sys.modules.get("sklearn.exceptions")
        return super().__new__(kind if theirs is None else _both(kind, theirs.NotFittedError), *args)

    def __reduce__(self) -> tuple[Any, ...]:
        return NotFittedError, self.args


@functools.cache
def _both(ours: type[Exception], theirs: type[Exception]) -> Any:
    return ours if issubclass(ours, theirs) else type(ours.__name__, (ours, theirs), {"__doc__": ours.__doc__})


class Conventions:
    """Feature names, frames out, and tags: what scikit-learn's pipelines, searches and checks look for.

    Of data that have named features, a pandas or polars frame, `fit` keeps the names in `feature_names_in_`, and all
    that takes samples later refuses frames with other names.
    """

    n_features_in_: int
    estimator_kind: str | None = None
    """What scikit-learn calls this kind of estimator: "classifier", "outlier_detector", or None."""

    # ---------------------------------------------------------------- names of features

    def _learn_names(self, X: Any) -> None:
        """Keep the names of the features of X, on which this estimator is trained."""
        vars(self).pop("feature_names_in_", None)
        names = feature_names(X)
        if names is not None:
            self.feature_names_in_ = names

    def _set_names(self, names: Any) -> None:
        """Take the names of features from a file, where it has any. Raises `ValueError` for what is no list of them."""
        if names is None:
            return
        known = isinstance(names, list) and all(isinstance(name, str) for name in names)
        if not known or len(names) != self.n_features_in_:
            raise ValueError(f"'feature_names' in its header are no list of {self.n_features_in_} names")
        self.feature_names_in_ = np.array(names, dtype=object)

    def _check_names(self, X: Any) -> None:
        """Raise `ValueError` for features that have other names than in training, or another order; warn where only
        one of the two has names. The words are scikit-learn's."""
        learned, names, kind = vars(self).get("feature_names_in_"), feature_names(X), type(self).__name__
        if learned is None and names is None:
            return
        if learned is None:
            warn(f"X has feature names, but {kind} was fitted without feature names")
        elif names is None:
            if not hasattr(X, "batches"):
                warn(f"X does not have valid feature names, but {kind} was fitted with feature names")
        elif not np.array_equal(learned, names):
            message = "The feature names should match those that were passed during fit.\n"
            for title, found in (("unseen at fit time", np.setdiff1d(names, learned)),
                                 ("seen at fit time, yet now missing", np.setdiff1d(learned, names))):
                if len(found):
                    message += f"Feature names {title}:\n" + "".join(f"- {name}\n" for name in found[:5])
                    message += "- ...\n" * (len(found) > 5)
            if set(names) == set(learned):
                message += "Feature names must be in the same order as they were in fit.\n"
            raise ValueError(message)

    # ---------------------------------------------------------------- tags

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn asks before it works with an estimator. Nobody else calls it."""
        from sklearn.utils import ClassifierTags, InputTags, Tags, TargetTags, TransformerTags

        classifies = self.estimator_kind == "classifier"
        return Tags(
            estimator_type=self.estimator_kind,
            target_tags=TargetTags(required=classifies or getattr(self, "needs_labels", False)),
            transformer_tags=TransformerTags(preserves_dtype=[]) if isinstance(self, Transformer) else None,
            classifier_tags=ClassifierTags() if classifies else None,
            input_tags=InputTags(three_d_array=True, sparse=True),
        )

    def __sklearn_is_fitted__(self) -> bool:
        return any(name.endswith("_") and not name.startswith("_") for name in vars(self))


class Transformer(Conventions):
    """What has a `transform`, that makes new features of each sample: (N, ...) to (N, features).

    `set_output(transform="pandas")` makes it return frames, whose columns are `get_feature_names_out()`.
    """

    fit: Callable[..., Any]  # each kind of estimator says of what
    transform: Callable[..., Any]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "transform" in vars(cls):
            cls.transform = _framed(cls.transform)

    def fit_transform(self, X: Any, y: Any = None, **training: Any) -> Any:
        """`fit` on X, with arguments for it, and what `transform` then gives for X."""
        return self.fit(X, y, **training).transform(X, *([y] if getattr(self, "needs_labels", False) else []))

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """The names of what `transform` returns: the class's name in lower case, and a number. `input_features` is
        not needed; where it is given it must be what the estimator was trained on."""
        count, learned = self._features_out(), vars(self).get("feature_names_in_")
        if input_features is not None and learned is not None and not np.array_equal(input_features, learned):
            raise ValueError("input_features is not equal to feature_names_in_")
        if input_features is not None and len(input_features) != self.n_features_in_:
            raise ValueError("input_features should have length equal to number of features "
                             f"({self.n_features_in_}), got {len(input_features)}")
        return np.array([f"{type(self).__name__.lower()}{i}" for i in range(count)], dtype=object)

    def _codes(self, X: Any, *labels: Any) -> Any:
        """What `transform` computes, an array also where that is asked for frames."""
        transform: Any = type(self).transform
        return transform.__wrapped__(self, X, *labels)

    def _features_out(self) -> int:
        """How many features `transform` makes."""
        raise NotImplementedError(f"{type(self).__name__} has no _features_out")

    # ---------------------------------------------------------------- frames

    def set_output(self, *, transform: str | None = None) -> Any:
        """What `transform` returns: "pandas" or "polars" for a frame, "default" for an array; None changes nothing."""
        if transform not in (None, "default", "pandas", "polars"):
            raise ValueError(f"transform is default, pandas or polars, got {transform!r}")
        if transform is not None:
            self._sklearn_output_config = {"transform": transform}  # the name by which scikit-learn's `clone` copies it
        return self

    def _output(self) -> str:
        own = getattr(self, "_sklearn_output_config", {}).get("transform")
        if own is not None or "sklearn" not in sys.modules:
            return own or "default"
        return sys.modules["sklearn"].get_config()["transform_output"]


def _framed(transform: Callable[..., Any]) -> Callable[..., Any]:
    """`transform`, whose result is a frame where that was asked for."""

    @functools.wraps(transform)
    def framed(self: Any, X: Any, *args: Any, **kwargs: Any) -> Any:
        codes, kind = transform(self, X, *args, **kwargs), self._output()
        if kind == "default" or not isinstance(codes, np.ndarray):
            return codes
        if codes.ndim != 2:
            raise ValueError(f"a frame has rows and columns, these codes are of shape {codes.shape[1:]} each: leave "
                             "them arrays, set_output(transform='default'), or train a model with code=")
        library, names = importlib.import_module(kind), self.get_feature_names_out()
        if kind == "polars":
            return library.DataFrame(codes, schema=list(names), orient="row")
        index = X.index if isinstance(X, library.DataFrame) else None  # the `index` of a list is a method
        return library.DataFrame(codes, columns=names, index=index, copy=False)

    return framed


def column_vector_warning() -> None:
    """Warn, as scikit-learn does, that labels came as a column."""
    theirs = sys.modules.get("sklearn.exceptions")
    category = UserWarning if theirs is None else theirs.DataConversionWarning
    warn("A column-vector y was passed when a 1d array was expected. Please change the shape of y to "
         "(n_samples,), for example using ravel().", category)
