"""The recipe of Hinton and Salakhutdinov, Science 313, 2006: a stack of RBMs, unrolled, fine-tuned by cross-entropy."""

from miniae.models import pretrain
from miniae.optim.schedules import cosine
from miniae.training import LearningRate

HIDDEN, CODE, BATCH = [1000, 500, 250], 30, 100


def pretrained(X, code, epochs, callbacks, backend=None):
    """784-1000-500-250-code, layer by layer. `callbacks` is called with each layer's title."""
    return pretrain(X, [784, *HIDDEN, code], epochs=epochs, batch_size=BATCH, callbacks=callbacks, backend=backend)


def falling(epochs):
    """The learning rate of fine-tuning: Adam's, falling to 0."""
    return LearningRate(cosine(epochs))


def fine_tuned(model, X, epochs, callbacks):
    """The model, trained with these callbacks, `falling` among them."""
    return model.set_params(loss="bce", batch_size=BATCH, lr=1e-3, epochs=epochs).fit(X, callbacks=callbacks)


def seconds(*histories):
    """How long the epochs of these histories took."""
    return sum(row["seconds"] for history in histories for row in history)
