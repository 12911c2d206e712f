"""The models of cpu_training.py in other libraries, as their documentation would have them written.

Each function makes an epoch over X, or None where that library or model is not to be had.
"""

import importlib.util
import shutil

import numpy as np
import torch

nn = torch.nn


def dense(sizes):
    layers = []
    for a, b in zip(sizes, sizes[1:], strict=False):
        layers += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*layers[:-1], nn.Sigmoid())


def convolutional():
    def conv(a, b):
        return nn.Conv2d(a, b, 3, padding=1)

    def up():
        return nn.Upsample(scale_factor=2)
    return nn.Sequential(
        conv(1, 16), nn.ReLU(), nn.MaxPool2d(2), conv(16, 8), nn.ReLU(), nn.MaxPool2d(2),
        conv(8, 8), nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True),
        conv(8, 8), nn.ReLU(), up(), Crop(7), conv(8, 8), nn.ReLU(), up(), conv(8, 16), nn.ReLU(), up(), conv(16, 1))


class Crop(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.size = size

    def forward(self, x):
        return x[:, :, :self.size, :self.size]


class Variational(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(784, 400), nn.ReLU(), nn.Linear(400, 40))
        self.decoder = nn.Sequential(nn.Linear(20, 400), nn.ReLU(), nn.Linear(400, 784))

    def loss(self, x):
        mean, log_variance = self.encoder(x).chunk(2, dim=1)
        z = mean + (log_variance / 2).exp() * torch.randn_like(mean)
        reconstruction = nn.functional.binary_cross_entropy_with_logits(self.decoder(z), x, reduction="sum")
        kl = 0.5 * (mean.square() + log_variance.exp() - log_variance - 1).sum()
        return (reconstruction + kl) / len(x)


def _pytorch(memory_format=torch.contiguous_format, compiled=False, **adam):
    def make(name, sizes, X, batch):
        images = name.startswith("convolutional")
        if compiled and shutil.which("g++") is None:
            return None
        if memory_format is torch.channels_last and not images:
            return None
        model = dense(sizes) if sizes else convolutional() if images else Variational()
        model = model.to(memory_format=memory_format)
        data = torch.tensor(X)
        if images:
            data = data.reshape(-1, 1, 28, 28).to(memory_format=memory_format)
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, **adam)

        def loss_of(x):
            return model.loss(x) if hasattr(model, "loss") else ((model(x) - x) ** 2).sum() / len(x)
        evaluate = torch.compile(loss_of) if compiled else loss_of

        def epoch():
            order = torch.randperm(len(data))
            for i in range(0, len(data), batch):
                loss = evaluate(data[order[i:i + batch]])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        return epoch
    return make


def _keras(name, sizes, X, batch):
    """Keras on TensorFlow, as `fit` does it, dense models and the convolutional one."""
    if importlib.util.find_spec("tensorflow") is None or name.startswith("variational"):
        return None
    import keras
    layer = keras.layers
    if sizes:
        activations = ["relu"] * (len(sizes) - 2) + ["sigmoid"]
        layers = [layer.Dense(n, a) for n, a in zip(sizes[1:], activations, strict=True)]
        data = X
    else:
        def conv(n, activation="relu"):
            return layer.Conv2D(n, 3, padding="same", activation=activation)

        def pool():
            return layer.MaxPooling2D(2, padding="same")
        layers = [conv(16), pool(), conv(8), pool(), conv(8), pool(), conv(8), layer.UpSampling2D(2),
                  layer.Cropping2D(((0, 1), (0, 1))), conv(8), layer.UpSampling2D(2), conv(16), layer.UpSampling2D(2),
                  conv(1, None)]
        data = X.reshape(-1, 28, 28, 1)
    model = keras.Sequential([keras.Input(data.shape[1:]), *layers])
    model.compile(optimizer=keras.optimizers.Adam(1e-3), loss="mse")
    return lambda: model.fit(data, data, batch_size=batch, epochs=1, verbose=0)


def _dezero(name, sizes, X, batch):
    """DeZero, dense models; its 0.0.13 asks NumPy for a name that is gone."""
    if importlib.util.find_spec("dezero") is None or not sizes:
        return None
    for gone in ("int", "float", "bool"):
        if gone not in np.__dict__:
            setattr(np, gone, {"int": int, "float": float, "bool": bool}[gone])
    import dezero
    import dezero.functions as F
    import dezero.layers as L
    model = dezero.Model()
    for i, n in enumerate(sizes[1:]):
        setattr(model, f"l{i}", L.Linear(n))
    optimizer = dezero.optimizers.Adam(alpha=1e-3).setup(model)

    def epoch():
        order = np.random.permutation(len(X))
        for i in range(0, len(X), batch):
            x = X[order[i:i + batch]]
            y = x
            for k in range(len(sizes) - 1):
                y = getattr(model, f"l{k}")(y)
                y = F.relu(y) if k < len(sizes) - 2 else F.sigmoid(y)
            loss = F.mean_squared_error(y, x)
            model.cleargrads()
            loss.backward()
            optimizer.update()
    return epoch


PEERS = {
    "pytorch": _pytorch(),
    "pytorch fused": _pytorch(fused=True),
    "pytorch channels last": _pytorch(torch.channels_last, fused=True),
    "pytorch compiled": _pytorch(compiled=True, fused=True),
    "keras": _keras,
    "dezero": _dezero,
}
