"""Our estimators by scikit-learn's own checks, and at work in its pipelines and searches."""

from __future__ import annotations

import pickle
import subprocess
import sys

import numpy as np
import pytest

from miniae import RBM, AnomalyDetector, Autoencoder, Classifier
from miniae.models import PCA, VARIANTS, DeepBeliefNetwork, RecorruptedAutoencoder
from miniae.training import NotFittedError

sklearn = pytest.importorskip("sklearn", minversion="1.6", reason="asks scikit-learn what it expects of estimators")
from sklearn.base import clone, is_classifier, is_outlier_detector  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402
from sklearn.model_selection import GridSearchCV, cross_val_score  # noqa: E402
from sklearn.pipeline import Pipeline, make_pipeline  # noqa: E402
from sklearn.preprocessing import MinMaxScaler, StandardScaler  # noqa: E402
from sklearn.utils.estimator_checks import check_estimator  # noqa: E402

pytestmark = [
    # We are no subclasses of scikit-learn's BaseEstimator, which would make it a dependency.
    pytest.mark.filterwarnings("ignore:.*does not inherit from:UserWarning"),
    # Two epochs leave units idle.
    pytest.mark.filterwarnings("ignore::miniae.models.variational.PosteriorCollapse"),
    pytest.mark.filterwarnings("ignore:Can't test estimator"),
]

RNG = np.random.default_rng(0)
CODES = RNG.standard_normal((60, 2))
X = CODES @ RNG.standard_normal((2, 5)) + 0.1 * RNG.standard_normal((60, 5))
Y = (CODES[:, 0] > 0).astype(int)

# In float64, as in float32 a row's last digits depend on which rows are computed beside it, by more than 1e-7.
SMALL = {"epochs": 2, "batch_size": 32, "dtype": "float64"}
IMAGES = {"filters": (2,), "code": 4, **SMALL}
OF_VARIANTS = {
    "convolutional": IMAGES, "vector-quantised": {**IMAGES, "dim": 2, "codebook": 4},
    "variational": {"hidden": [4], "code": 2, "loss": "gaussian", **SMALL},
    "conditional": {"hidden": [4], "code": 2, "loss": "gaussian", **SMALL},
    "adversarial": {"hidden": [4], "code": 2, "discriminator": [4], **SMALL},
}
ESTIMATORS = {
    **{name: kind(**OF_VARIANTS.get(name, {"hidden": [4], "code": 2, **SMALL})) for name, kind in VARIANTS.items()},
    "recorrupted": RecorruptedAutoencoder([4], 2, **SMALL),
    "rbm": RBM(4, visible_units="gaussian", epochs=2, dtype="float64"),
    "pca": PCA(1),
    "classifier": Classifier([16], head_epochs=0, epochs=10, lr=5e-2, batch_size=16, dtype="float64"),
    "detector": AnomalyDetector(hidden=4, updates=5, noise=(0.3,), dtype="float64"),
    # Data in [0, 1] are asked for, which those of the checks are not.
    "scaled rbm": make_pipeline(MinMaxScaler(clip=True), RBM(4, epochs=2, dtype="float64")),
    "scaled dbn": make_pipeline(MinMaxScaler(clip=True), DeepBeliefNetwork([4], epochs=2, dtype="float64")),
}

_NEEDS_LABELS = "the encoder is told the label of each sample, which scikit-learn gives to fit, but not to transform"
_STEPS = "a Pipeline fits its steps themselves, not clones of them: it does so with scikit-learn's own, too"
EXPLAINED = {
    "conditional": dict.fromkeys([
        "check_dict_unchanged", "check_dtype_object", "check_estimators_dtypes", "check_estimators_pickle",
        "check_f_contiguous_array_estimator", "check_fit_idempotent", "check_methods_sample_order_invariance",
        "check_methods_subset_invariance", "check_transformer_data_not_an_array", "check_transformer_general",
    ], _NEEDS_LABELS),
    **dict.fromkeys(["scaled rbm", "scaled dbn"], dict.fromkeys(
        ["check_estimators_overwrite_params", "check_dont_overwrite_parameters"], _STEPS)),
}
# Needs an environment variable of SciPy's that is set before it is imported, and pandas.
MAY_BE_SKIPPED = {"check_array_api_input", "check_classifier_data_not_an_array"}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning", "ignore::RuntimeWarning:sklearn.*")
@pytest.mark.parametrize("name", ESTIMATORS)
def test_the_checks_of_scikit_learn(name):
    explained = EXPLAINED.get(name, {})
    results = check_estimator(ESTIMATORS[name], on_fail=None, on_skip=None, expected_failed_checks=explained)
    failed = {r["check_name"]: str(r["exception"]) for r in results if r["status"] == "failed"}
    assert not failed
    assert {r["check_name"] for r in results if r["status"] == "xfail"} == explained.keys(), "fewer need explaining now"
    assert {r["check_name"] for r in results if r["status"] == "skipped"} <= MAY_BE_SKIPPED
    assert sum(r["status"] == "passed" for r in results) >= 33


def test_kinds_are_known():
    assert is_classifier(Classifier()) and is_outlier_detector(AnomalyDetector())
    assert not is_classifier(Autoencoder()) and not is_outlier_detector(RBM())


def test_nothing_is_imported_that_was_not_asked_for():
    code = ("import sys, numpy as np, miniae; miniae.Autoencoder([4], 2, epochs=1).fit(np.ones((9, 3))).transform("
            "np.ones((2, 3))); print({'sklearn', 'pandas', 'scipy', 'polars'} & sys.modules.keys())")
    assert subprocess.run([sys.executable, "-c", code], text=True, capture_output=True).stdout == "set()\n"


def test_what_is_not_fitted_says_so_to_both():
    from sklearn.exceptions import NotFittedError as Theirs

    for model in (Autoencoder(), RBM(), AnomalyDetector(), Classifier()):
        with pytest.raises(Theirs) as raised:
            model.score_samples(X) if hasattr(type(model), "score_samples") else model.predict(X)
        assert isinstance(raised.value, NotFittedError)
        again = pickle.loads(pickle.dumps(raised.value))
        assert isinstance(again, NotFittedError) and str(again) == str(raised.value)


def test_in_a_pipeline():
    pipeline = make_pipeline(StandardScaler(), Autoencoder([8], 3, epochs=60, lr=1e-2), LogisticRegression())
    assert pipeline.fit(X, Y).score(X, Y) > 0.8
    codes = pipeline[:-1].transform(X)
    np.testing.assert_array_equal(codes, pipeline[1].transform(StandardScaler().fit_transform(X)))
    names = pipeline[:-1].get_feature_names_out()
    assert names.tolist() == ["autoencoder0", "autoencoder1", "autoencoder2"]
    steps = Pipeline([("codes", RBM(6, visible_units="gaussian", epochs=2)), ("classes", Classifier([8], epochs=2))])
    assert set(steps.fit(X, Y).predict(X)) <= {0, 1}


@pytest.mark.parametrize("options", [{}, {"n_jobs": 2}], ids=["here", "processes"])
def test_a_grid_search(options):
    grid = {"codes__code": [1, 2], "codes__epochs": [1, 60]}
    pipeline = Pipeline([("scale", StandardScaler()), ("codes", Autoencoder([8], lr=1e-2))])
    search = GridSearchCV(pipeline, grid, cv=2, **options).fit(X)
    assert search.best_params_ == {"codes__code": 2, "codes__epochs": 60}
    np.testing.assert_array_equal(search.transform(X), clone(search.best_estimator_).fit(X).transform(X))


def test_cross_validation_and_threads():
    import joblib

    model = Classifier([16], epochs=10, lr=1e-2)
    scores = cross_val_score(model, X, Y, cv=3)
    assert scores.mean() > 0.7
    with joblib.parallel_backend("threading", n_jobs=2):
        np.testing.assert_array_equal(cross_val_score(model, X, Y, cv=3), scores)
    assert not hasattr(model, "network_")
    by_reconstruction = cross_val_score(Autoencoder([4], 2, epochs=5), X, cv=3)
    assert (by_reconstruction < 0).all()


def test_a_clone_has_the_settings_and_nothing_learned():
    model = Autoencoder([4], 2, epochs=3, scaling="standard").set_output(transform="default").fit(X)
    other = clone(model)
    assert other.get_params() == model.get_params() and not hasattr(other, "network_")
    assert not hasattr(clone(AnomalyDetector(model=model)).model, "network_")
    np.testing.assert_array_equal(other.fit(X).transform(X), model.transform(X))


def test_settings_of_a_setting():
    detector = AnomalyDetector(model=Autoencoder([4], 2))
    assert detector.get_params()["model__code"] == 2 and "model__code" not in detector.get_params(deep=False)
    assert detector.set_params(model__code=3).model.code == 3
    other = Autoencoder([4], 2)
    detector.set_params(model__lr=0.5, model=other)  # whatever their order
    assert detector.model is other and other.lr == 0.5
    for name in ("model__nonsense", "seed__nonsense", "nonsense"):
        with pytest.raises(ValueError, match="has no parameter"):
            detector.set_params(**{name: 1})


def test_signatures_say_what_can_be_given():
    import inspect

    parameters = inspect.signature(VARIANTS["vector-quantised"]).parameters
    assert list(parameters)[:3] == ["filters", "code", "codebook"] and "lr" in parameters and "corruption" in parameters
    for kind in VARIANTS.values():
        assert set(inspect.signature(kind).parameters) == set(kind._parameter_names())


def test_the_offset_of_the_detector():
    detector = AnomalyDetector(hidden=4, updates=20, noise=(0.3,)).fit(X)
    np.testing.assert_allclose(detector.decision_function(X), detector.score_samples(X) - detector.offset_, rtol=1e-12)
    np.testing.assert_array_equal(detector.predict(X), np.where(detector.decision_function(X) < 0, -1, 1))


def test_labels_in_a_column_are_taken_with_a_warning():
    from sklearn.exceptions import DataConversionWarning

    model = Classifier([4], epochs=2)
    with pytest.warns(DataConversionWarning, match="A column-vector y was passed"):
        column = model.fit(X, Y[:, None]).predict_proba(X)
    np.testing.assert_array_equal(column, model.fit(X, Y).predict_proba(X))


def test_a_gaussian_prior_takes_no_notice_of_labels():
    model = VARIANTS["adversarial"]([4], 2, discriminator=[4], epochs=2)
    with_labels = model.fit(X, Y).transform(X)
    np.testing.assert_array_equal(with_labels, model.fit(X).transform(X))
    with pytest.raises(ValueError, match="trained without"):
        model.sample(3, labels=1)


def test_a_classifier_learns_in_parts(backend):
    labels = np.where(Y, "right", "left")
    model = Classifier([8], lr=1e-2, batch_size=10)
    order = np.argsort(Y, kind="stable")  # the first parts have one label only
    for _ in range(30):
        for part in order.reshape(6, 10):
            model.partial_fit(X[part], labels[part], classes=["left", "right"])
    assert model.score(X, labels) > 0.9 and len(model.history_) == 180
    whole = Classifier([8], lr=1e-2, head_epochs=0, epochs=3).fit(X, Y)
    parts = Classifier([8], lr=1e-2)
    for _ in range(3):
        parts.partial_fit(X, Y)
    np.testing.assert_array_equal(parts.predict_proba(X), whole.predict_proba(X))
    assert whole.partial_fit(X, Y).n_features_in_ == 5
    with pytest.raises(ValueError, match="y holds the label 7, which the classes do not"):
        parts.partial_fit(X, np.full(60, 7))
    with pytest.raises(ValueError, match=r"y holds only the label 0, expected two .*1 class"):
        Classifier().partial_fit(X, np.zeros(60, int))


def test_features_keep_their_number_over_parts():
    for model in (Autoencoder([4], 2), Classifier([4]), RBM(4, visible_units="gaussian"), PCA(2),
                  AnomalyDetector(hidden=4, noise=(0.3,))):
        model.partial_fit(X, Y)
        with pytest.raises(ValueError, match="X has 4 features, but .* is expecting 5 features as input"):
            model.partial_fit(X[:, 1:], Y)
