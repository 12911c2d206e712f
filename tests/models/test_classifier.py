"""The Classifier estimator."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import miniae
from miniae import Classifier, gradcheck, nn, pretrain
from miniae.autodiff import Tensor
from miniae.data import StorageError
from miniae.data.storage import load_tensors, save_tensors
from miniae.models import ClassifierNetwork
from miniae.training import Callback, EarlyStopping, NotFittedError, ReduceOnPlateau, TrainingDiverged


@pytest.fixture
def animals(blobs):
    """The blobs in three classes by two of their features."""
    return blobs, np.array(["cat", "dog", "newt"])[(blobs[:, 0] > 0.5).astype(int) + (blobs[:, 1] > 0.5)]


class Weights(Callback):
    """The network's state after every epoch, and before the first."""

    def on_train_begin(self, trainer):
        self.states = [trainer.model.state_dict()]

    def on_epoch_end(self, trainer, logs):
        self.states.append(trainer.model.state_dict())


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_step_by_step_it_is_the_textbooks_gradient_descent(backend):
    """4-3-2 units on full batches in float64: every update is NumPy's, head alone for two epochs, then all."""
    rng, rate, l2 = np.random.default_rng(1), 0.5, 0.01
    x, y = rng.standard_normal((6, 4)), np.array([3, 8, 3, 8, 8, 3])
    t = np.stack([y == 3, y == 8], axis=1).astype(float)
    watch = Weights()
    model = Classifier([3], activation="sigmoid", head_epochs=2, epochs=3, optimizer="sgd", lr=rate, batch_size=6,
                       l2=l2, dtype="float64").fit(x, y, callbacks=[watch])
    names = ["encoder.0.weight", "encoder.0.bias", "head.weight", "head.bias"]
    w, b, v, c = (watch.states[0][name] for name in names)
    for epoch, (row, state) in enumerate(zip(model.history_, watch.states[1:], strict=True)):
        h = sigmoid(x @ w + b)
        p = np.exp(h @ v + c)
        p /= p.sum(axis=1, keepdims=True)
        assert row["cross_entropy"] == pytest.approx(-np.log(p[t == 1]).mean(), abs=1e-12)
        penalty = l2 * (np.square(v).sum() + (np.square(w).sum() if epoch >= 2 else 0))
        assert row["loss"] == pytest.approx(row["cross_entropy"] + penalty, abs=1e-12)
        dz = (p - t) / 6
        dx = dz @ v.T * h * (1 - h)
        v, c = v - rate * (h.T @ dz + 2 * l2 * v), c - rate * dz.sum(axis=0)
        if epoch >= 2:
            w, b = w - rate * (x.T @ dx + 2 * l2 * w), b - rate * dx.sum(axis=0)
        for name, expected in zip(names, (w, b, v, c), strict=True):
            np.testing.assert_allclose(state[name], expected, atol=1e-12)
    np.testing.assert_allclose(model.predict_proba(x).sum(axis=1), 1, atol=1e-12)
    z = sigmoid(x @ w + b) @ v + c
    np.testing.assert_array_equal(model.predict(x), np.array([3, 8])[z.argmax(axis=1)])
    np.testing.assert_allclose(model.predict_proba(x), np.exp(z) / np.exp(z).sum(axis=1, keepdims=True), atol=1e-12)


def test_the_gradient_of_its_loss(backend):
    rng = np.random.default_rng(0)
    x, t = Tensor(rng.standard_normal((5, 4))), Tensor(np.eye(3)[[0, 2, 1, 1, 0]])
    network = ClassifierNetwork(nn.Sequential([nn.Dense(6, "tanh"), nn.Dense(5, "sigmoid")]), nn.Dense(3), l2=0.01)
    network.build((4,), nn.Build("", 0, "float64", backend))
    network.train()
    assert gradcheck(lambda: sum(network.loss_terms(x, t).values(), 0.0), [], network.parameters())


def test_its_loss_is_torchs():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(2)
    x, numbers = rng.standard_normal((7, 4)), rng.integers(0, 3, 7)
    network = ClassifierNetwork(nn.Sequential([nn.Dense(5, "relu")]), nn.Dense(3))
    network.build((4,), nn.Build("", 0, "float64", "numpy"))
    loss = network.loss_terms(Tensor(x), Tensor(np.eye(3)[numbers]))["cross_entropy"]
    loss.backward()
    values = [torch.tensor(p.numpy(), requires_grad=True) for p in network.parameters()]
    w, b, v, c = values
    theirs = torch.nn.functional.cross_entropy(torch.relu(torch.tensor(x) @ w + b) @ v + c, torch.tensor(numbers))
    theirs.backward()
    assert loss.item() == pytest.approx(theirs.item(), abs=1e-12)
    for ours, other in zip(network.parameters(), values, strict=True):
        np.testing.assert_allclose(ours.grad, other.grad.numpy(), atol=1e-12)


def test_learns_digits():
    """1,000 of them, by a small convolutional network: 12 % is what a dense one does not reach."""
    digits = miniae.data.load("digits")
    layers = [nn.Reshape((1, 28, 28)), nn.Conv2D(8, 5, stride=2), nn.Activation("relu"), nn.Conv2D(16, 5, stride=2),
              nn.Activation("relu"), nn.Flatten(), nn.Dense(64, "relu")]
    model = Classifier(encoder=nn.Sequential(layers), head_epochs=0, epochs=12, batch_size=50, dropout=0.5, lr=5e-3)
    model.fit(digits.train[:1000], digits.train_labels[:1000])
    assert model.score(digits.test, digits.test_labels) > 0.88
    assert model.predict(digits.test[:3]).dtype == digits.train_labels.dtype


def test_pretraining_helps_when_few_samples_have_labels():
    digits = miniae.data.load("digits")
    X, y, training = digits.train[:1000], digits.train_labels[:1000], {"epochs": 8, "batch_size": 20}
    stack = pretrain(digits.train[:3000], [784, 200, 200], epochs=6, code_unit="bernoulli")
    before = [pair.up.weight.numpy() for pair in stack.pairs]
    pretrained = stack.classifier(**training).fit(X, y)
    raw = Classifier([200, 200], activation="sigmoid", **training).fit(X, y)
    errors = [1 - model.score(digits.test, digits.test_labels) for model in (pretrained, raw)]
    assert errors[0] < 0.9 * errors[1] < 0.9 * 0.25
    for weight, pair in zip(before, stack.pairs, strict=True):
        np.testing.assert_array_equal(pair.up.weight.numpy(), weight)


def test_a_stacks_classifier_sees_what_the_stack_encodes(animals, backend):
    x, y = animals
    stack = pretrain(x, [12, 8, 6], epochs=2, code_unit="bernoulli")
    model = stack.classifier(head_epochs=1, epochs=0, lr=0.1).fit(x, y)
    np.testing.assert_allclose(model.encoder_(x).numpy(), stack.encode(x), atol=1e-6)
    head = model.head_
    z = stack.encode(x) @ head.weight.numpy() + head.bias.numpy()
    np.testing.assert_array_equal(model.predict(x), model.classes_[z.argmax(axis=1)])
    assert stack.classifier(dtype="float64", seed=4, epochs=1).fit(x, y).predict_proba(x).dtype == np.float64
    with pytest.raises(ValueError, match="no layers"):
        miniae.Stack().classifier()


@pytest.mark.parametrize("optimizer", ["adam", "momentum"])
def test_head_epochs_leave_the_other_layers_as_they_are(optimizer, animals, backend):
    x, y = animals
    layers = nn.Sequential([nn.Dense(8), nn.BatchNorm(), nn.Activation("tanh"), nn.Dense(6, "relu")])
    watch = Weights()
    Classifier(encoder=layers, head_epochs=2, epochs=2, dropout=0.2, l2=1e-3, clip=1.0, optimizer=optimizer,
               lr=0.01).fit(x, y, validation=(x, y), callbacks=[watch])
    start, _, headed, first, last = watch.states
    assert any("mean" in name for name in start)  # the buffers of the normalisation are in it
    for name, value in start.items():
        if name.startswith("head"):
            assert (headed[name] != value).any() and (last[name] != first[name]).any()
        else:
            np.testing.assert_array_equal(headed[name], value)
            assert (first[name] != value).any()


def test_the_head_and_all_layers_have_an_optimizer_each(animals):
    """So that all layers' moments start at 0, and the rate that callbacks have set stays."""
    x, y = animals
    seen = []

    class Watch(Callback):
        def on_batch_end(self, trainer, batch):
            if batch == 0:
                seen.append((id(trainer.optimizer), trainer.optimizer.state_dict()["count"].item(),
                             sum(p.size for p in trainer.optimizer.parameters), trainer.optimizer.lr))

    Classifier([5], head_epochs=2, epochs=2, batch_size=75, lr=0.01).fit(
        x, y, callbacks=[Watch(), ReduceOnPlateau(factor=0.5, patience=1, monitor="lr")])
    assert seen[0][0] == seen[1][0] != seen[2][0] == seen[3][0]
    assert [count for _, count, _, _ in seen] == [1, 3, 1, 3]
    assert [size for _, _, size, _ in seen] == [18, 18, 18 + 65, 18 + 65]
    assert [rate for *_, rate in seen] == [0.01, 0.01, 0.01, 0.005]


def test_labels_of_every_kind(animals, backend):
    x, names = animals
    model = Classifier([8], head_epochs=0, epochs=40, lr=0.02, batch_size=32).fit(x, names)
    assert model.classes_.tolist() == ["cat", "dog", "newt"]
    assert model.score(x, names) > 0.9 and set(model.predict(x)) <= {"cat", "dog", "newt"}
    assert model.score(x, names) == (model.predict(x) == names).mean()
    settings = {"hidden": [4], "head_epochs": 1, "epochs": 1}
    model = Classifier(**settings).fit(x, names)
    numbers = np.searchsorted(model.classes_, names)
    for labels in (numbers * 5 - 3, numbers.astype(float), names.astype(object), list(names), numbers.astype("uint8")):
        again = Classifier(**settings).fit(x, labels)
        np.testing.assert_array_equal(again.predict_proba(x), model.predict_proba(x))
        np.testing.assert_array_equal(again.classes_, np.unique(labels))
    yes = Classifier(**settings).fit(x, x[:, 2] > 0.5)
    assert yes.classes_.tolist() == [False, True] and yes.predict(x).dtype == bool


def test_validation_and_early_stopping(animals):
    x, y = animals
    model = Classifier([8], head_epochs=3, epochs=200, lr=0.05, batch_size=16)
    model.fit(x[:100], y[:100], validation=(x[100:], y[100:]), callbacks=[EarlyStopping(patience=3)])
    losses = [row["val_loss"] for row in model.history_]
    best = int(np.argmin(losses))
    assert 3 < best == len(losses) - 4 < 199
    row = model.history_[best]
    assert row["val_accuracy"] == model.score(x[100:], y[100:])  # of the weights that were put back
    p = model.predict_proba(x[100:])[np.arange(50), np.searchsorted(model.classes_, y[100:])]
    assert row["val_loss"] == row["val_cross_entropy"] == pytest.approx(-np.log(p).mean(), rel=1e-5)
    assert [row["epoch"] for row in model.history_] == list(range(1, len(losses) + 1))


def test_the_same_seed_gives_the_same_model_and_fit_starts_afresh(animals, backend):
    x, y = animals
    layers = nn.Sequential([nn.Dense(6, "tanh"), nn.Dense(5, "tanh")], input_shape=12, dtype="float32", backend=backend)
    before = copy.deepcopy(layers.state_dict())
    model = Classifier(encoder=layers, dropout=0.3, head_epochs=1, epochs=3, seed=1)
    first = model.fit(x, y).predict_proba(x)
    np.testing.assert_array_equal(model.fit(x, y).predict_proba(x), first)
    np.testing.assert_array_equal(Classifier(**model.get_params()).fit(x, y).predict_proba(x), first)
    assert (model.set_params(seed=2).fit(x, y).predict_proba(x) != first).any()
    for name, value in layers.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
    np.testing.assert_allclose(Classifier([6], seed=3, epochs=2).fit(x, y).predict_proba(x),
                               Classifier([6], seed=3, epochs=2, backend="numpy").fit(x, y).predict_proba(x), atol=1e-5)


def test_dropout_is_for_training_only(animals, backend):
    x, y = animals
    plain, dropped = (Classifier([30, 20], head_epochs=0, epochs=3, dropout=rate).fit(x, y) for rate in (0.0, 0.5))
    assert (plain.predict_proba(x) != dropped.predict_proba(x)).any()
    np.testing.assert_array_equal(dropped.predict_proba(x), dropped.predict_proba(x))
    network = dropped.network_.train()
    features = network.features(Tensor(x)).numpy()
    hidden = dropped.encoder_(x).numpy()
    assert 0.4 < (features == 0)[hidden > 0].mean() < 0.9 and sorted(network.dropouts) == [0, 1]


@pytest.mark.parametrize("shape, hidden", [((1,), [3]), ((2, 3), [4]), ((5,), [])])
def test_small_and_odd_shapes(shape, hidden, backend):
    """One feature, features of two axes, and no hidden layer at all: multinomial logistic regression."""
    x = np.random.default_rng(0).random((6, *shape), np.float32)
    y = np.array([0, 1, 0, 1, 2, 0])
    model = Classifier(hidden, head_epochs=1, epochs=2, batch_size=4).fit(x, y)
    assert model.predict_proba(x[:1]).shape == (1, 3) and model.predict(x).shape == (6,)
    assert len(model.history_) == 3


@pytest.mark.parametrize("settings", [
    {}, {"scaling": "standard", "dropout": 0.2}, {"dtype": "float64", "l2": 1e-3}, {"hidden": []},
])
@pytest.mark.parametrize("kind", ["strings", "integers"])
def test_a_model_comes_back_the_same(settings, kind, animals, tmp_path, backend):
    x, y = animals
    y = y if kind == "strings" else np.searchsorted(["cat", "dog", "newt"], y).astype(np.int16)
    model = Classifier(**{"hidden": [8, 4], "head_epochs": 1, "epochs": 2, **settings}).fit(x, y)
    model.save(tmp_path / "m.safetensors")
    again = miniae.load(tmp_path / "m.safetensors")
    assert type(again) is Classifier and again.classes_.dtype == model.classes_.dtype
    np.testing.assert_array_equal(again.predict(x), model.predict(x))
    np.testing.assert_array_equal(again.predict_proba(x), model.predict_proba(x))
    assert again.score(x, y) == model.score(x, y)
    again.fit(x, y)
    np.testing.assert_array_equal(again.predict_proba(x), model.predict_proba(x))


def test_a_stacks_classifier_comes_back_with_its_layers(animals, tmp_path, backend):
    x, y = animals
    model = pretrain(x, [12, 8, 4], epochs=2).classifier(dropout=0.2, head_epochs=1, epochs=2).fit(x, y)
    model.save(tmp_path / "m.safetensors")
    again = miniae.load(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(again.predict_proba(x), model.predict_proba(x))
    first = [again.fit(x, y).history_[-1]["loss"] for _ in range(2)]  # fit starts from the layers in the file
    assert first[0] == first[1] != model.history_[-1]["loss"]


@pytest.mark.parametrize("change", [
    lambda h: h.pop("classes"), lambda h: h["classes"].update(labels=["cat"]), lambda h: h.update(classes=3),
    lambda h: h["classes"].update(dtype="nonsense"), lambda h: h["network"].pop("head"),
    lambda h: h.update({"class": "Autoencoder"}),
])
def test_a_file_that_does_not_fit_is_refused(change, animals, tmp_path):
    path = tmp_path / "m.safetensors"
    Classifier([4], head_epochs=0, epochs=1).fit(*animals).save(path)
    tensors, header = load_tensors(path)
    change(header)
    save_tensors(path, tensors, header)
    with pytest.raises(StorageError, match="damaged"):
        miniae.load(path)


def nan(x):
    x = x.copy()
    x[3, 2] = np.nan
    return x


@pytest.mark.parametrize("case, message", [
    (lambda x, y: (x, y[:-1]), r"y has labels of shape \(149,\), expected one for each of the 150 samples"),
    (lambda x, y: (x, np.eye(3)[[0] * 150]), "use y.argmax"),
    (lambda x, y: (x, ["cat"] * 150), "y holds only the label 'cat', expected two"),
    (lambda x, y: (nan(x), y), r"X holds nan at index \(3, 2\)"),
    (lambda x, y: (x, np.linspace(0, 1, 150)), "not measurements"),
    (lambda x, y: (x, np.where(y == "cat", np.nan, 1.0)), "y holds nan"),
    (lambda x, y: (x, [*y[:-1], None]), "NoneType, str_?, expected labels of one type"),
    (lambda x, y: (x, y.astype("S")), "expected labels: integers or strings"),
    (lambda x, y: (x[:0], y[:0]), "nothing in it"),
])
def test_bad_data(case, message, animals):
    with pytest.raises((ValueError, TypeError), match=message) as caught:
        Classifier([4], epochs=1).fit(*case(*animals))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("case, message", [
    (lambda x, y: x, "validation is a pair"), (lambda x, y: (x, y, y), "validation is a pair"),
    (lambda x, y: (x, ["cow", *y[1:]]), "validation holds the label 'cow', which y does not: expected one of 'cat'"),
    (lambda x, y: (x, y[1:]), "validation has labels of shape"), (lambda x, y: (nan(x), y), "validation holds nan"),
    (lambda x, y: (x[:, 1:], y), "validation has samples of shape"),
    (lambda x, y: (x, np.arange(len(x)) % 3), "validation holds labels like 0, this model was trained on .*'cat'"),
])
def test_bad_validation(case, message, animals):
    with pytest.raises((ValueError, TypeError), match=message) as caught:
        Classifier([4], epochs=1).fit(*animals, validation=case(*animals))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("settings, message", [
    ({"head_epochs": -1}, "head_epochs must be an integer of at least 0"), ({"epochs": 1.5}, "epochs must be"),
    ({"hidden": 500}, "hidden is a list of layer sizes"), ({"hidden": [0]}, "every size in hidden"),
    ({"activation": "magic"}, "unknown activation"), ({"dropout": 1.0}, "dropout rate"),
    ({"dropout": 0.5, "hidden": []}, "has none: leave it out"), ({"l2": -1.0}, "l2 must be"),
    ({"optimizer": "x"}, "unknown optimizer"), ({"scaling": "x"}, "unknown scaling"),
    ({"encoder": nn.Sequential([nn.Dense(3)], input_shape=5)}, "was built for inputs"),
    ({"encoder": nn.Dense(3), "dtype": "int8"}, "dtype must be"),
    ({"encoder": nn.Sequential([nn.Dense(3)], input_shape=12, dtype="float64")}, "choose the model's dtype"),
])
def test_bad_settings(settings, message, animals):
    with pytest.raises(ValueError, match=message):
        Classifier(**settings).fit(*animals)


def test_a_failing_fit_leaves_the_old_model(animals):
    x, y = animals
    model = Classifier([4], epochs=1).fit(x, y)
    before = model.predict(x)
    with pytest.raises(ValueError, match="activation"):
        model.set_params(activation="magic").fit(x, np.arange(150) % 7)
    np.testing.assert_array_equal(model.predict(x), before)


def test_before_fit_and_with_other_labels(animals):
    x, y = animals
    for use in (lambda m: m.predict(x), lambda m: m.score(x, y), lambda m: m.save("x"), lambda m: m.head_):
        with pytest.raises(NotFittedError, match="call fit"):
            use(Classifier())
    model = Classifier([4], epochs=1).fit(x, y)
    with pytest.raises(TypeError, match="labels like 1"):
        model.score(x, np.ones(150, int))
    assert model.score(x, ["cow"] * 150) == 0.0
    with pytest.raises(ValueError, match="made for"):
        model.predict(x[:, :5])


@pytest.mark.parametrize("epoch", [2, 3])
def test_divergence_puts_the_last_good_epoch_back_and_interrupts_leave_a_model(epoch, animals):
    """In the last epoch of the head alone, and in the first of all layers, whose optimizer is a new one."""
    x, y = animals
    watch = Weights()

    class Spoil(Callback):
        def on_epoch_begin(self, trainer):
            if trainer.epoch == epoch - 1:
                trainer.optimizer.lr = 1e38

    class Interrupt(Callback):
        def on_epoch_end(self, trainer, logs):
            if trainer.epoch == epoch:
                raise KeyboardInterrupt

    model = Classifier([4], optimizer="sgd", head_epochs=2, epochs=3, batch_size=50)
    with pytest.raises(TrainingDiverged):
        model.fit(1e3 * x, y, callbacks=[watch, Spoil()])
    for name, value in model.network_.state_dict().items():
        np.testing.assert_array_equal(value, watch.states[epoch - 1][name])
    with pytest.raises(KeyboardInterrupt):
        model.fit(x, y, callbacks=[Interrupt()])
    assert len(model.history_) == epoch and not model.network_.frozen
    assert model.predict(x).shape == (150,)


def test_in_scikit_learns_tools(animals):
    sklearn_base = pytest.importorskip("sklearn.base")
    model_selection = pytest.importorskip("sklearn.model_selection")
    x, y = animals
    model = Classifier([8], head_epochs=0, epochs=20, lr=0.02, batch_size=32)
    assert sklearn_base.clone(model).get_params() == model.get_params()
    folds = model_selection.KFold(3, shuffle=True, random_state=0)
    for train, test in folds.split(x):
        assert sklearn_base.clone(model).fit(x[train], y[train]).score(x[test], y[test]) > 0.7
    with pytest.raises(ValueError, match="no parameter 'code'"):
        model.set_params(code=3)


@pytest.mark.parametrize("settings, message", [
    ({"lr": "x"}, "lr must be a finite number"), ({"l2": "x"}, "l2 must be"), ({"dropout": "x"}, "dropout must be"),
    ({"clip": -1}, "clip must be"), ({"lr": True}, "lr must be"),
])
def test_settings_that_are_no_numbers(settings, message):
    with pytest.raises(ValueError, match=message):
        Classifier([3], epochs=1, **settings).fit(np.eye(4), [0, 1, 0, 1])


def test_labels_of_several_types_are_refused():
    with pytest.raises(TypeError, match="values of type int, str, expected labels of one type"):
        Classifier([3], epochs=1).fit(np.eye(4), ["a", 1, 2, "b"])
