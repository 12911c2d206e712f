"""Contrastive divergence, and its persistent form."""

from __future__ import annotations

from typing import TYPE_CHECKING

from miniae.autodiff import Function

if TYPE_CHECKING:
    from miniae.rbm.machine import Machine


class ContrastiveDivergence(Function):
    """The log-likelihood's gradient is a difference of two averages,

        d log p(v) / dW = <v h'> under the data - <v h'> under the model,

    and the same with v for the visible and h for the hidden biases. The first is exact: h is E[h | v]. For the second,
    CD-k takes the states that k steps of Gibbs sampling reach from the data, persistent CD those of chains that go on
    from update to update. Backward returns minus this difference, so that a minimising optimizer climbs.

    It is the gradient of no function (Sutskever and Tieleman 2010). The value is what people watch instead: the squared
    error of the reconstruction E[v | h], h drawn from the data, summed over units and averaged over the batch.

    As in Hinton and Salakhutdinov's programs the hidden states are drawn, the visible ones of CD are means, and the
    last hidden ones are means: good features, but no longer samples of the model, however large k is. With
    `sample_visible` the visible states are drawn too, as those of persistent CD always are; then CD-k approaches the
    exact gradient as k grows. `weight_cost` W is added to W's gradient, and
    `sparsity_cost` (mean of h - target) to that of the hidden biases.

    Hinton 2002; Tieleman, "Training RBMs using approximations to the likelihood gradient", ICML 2008; Hinton, "A
    practical guide to training RBMs", 2010.
    """

    def __init__(self, machine: Machine):
        self.machine = machine

    def forward(self, v, w, a, b):
        be, machine = self.be, self.machine
        h = machine.hidden_mean(v)
        drawn = machine.hidden_units.sample(be, h, machine.rng) if machine.training else h
        reconstruction = machine.visible_mean(drawn)
        if machine.training:
            self.save(v, h, *self._negative_phase(reconstruction))
        error, _ = be.squared_error(reconstruction, v)
        return error

    def _negative_phase(self, reconstruction):
        """States v and means of h that stand for the model's distribution."""
        machine = self.machine
        if machine.persistent:
            v = machine.chains._data
            for _ in range(machine.k):
                v = machine.sample_visible(machine.sample_hidden(v))
            self.be.copy(v, out=machine.chains._data)
        else:
            v = self._visible_state(reconstruction)
            for _ in range(machine.k - 1):
                v = self._visible_state(machine.visible_mean(machine.sample_hidden(v)))
        return v, machine.hidden_mean(v)

    def _visible_state(self, mean):
        machine = self.machine
        return machine.visible_units.sample(self.be, mean, machine.rng) if machine.draw_visible else mean

    def backward(self, gy):
        be, machine = self.be, self.machine
        v, h, v_model, h_model = self.saved
        n, n_model = len(v), len(v_model)  # each average over its own number of states
        gw = be.matmul(v_model.T, h_model, out=self.buffer_for(1))
        be.multiply(gw, 1.0 / n_model, out=gw)
        data = be.matmul(v.T, h)
        be.subtract(gw, be.multiply(data, 1.0 / n, out=data), out=gw)
        if machine.weight_cost:
            be.add(gw, be.multiply(machine.weight._data, machine.weight_cost, out=data), out=gw)
        ga = self._difference(v_model, v)
        gb = self._difference(h_model, h)
        if machine.sparsity_cost:
            excess = be.sum(h, axis=0)
            be.subtract(be.multiply(excess, 1.0 / n, out=excess), machine.sparsity_target, out=excess)
            be.add(gb, be.multiply(excess, machine.sparsity_cost, out=excess), out=gb)
        return None, gw, ga, gb

    def _difference(self, model, data):
        """The mean of the model's rows minus that of the data's."""
        be = self.be
        mean, own = be.sum(model, axis=0), be.sum(data, axis=0)
        be.multiply(own, 1.0 / len(data), out=own)
        return be.subtract(be.multiply(mean, 1.0 / len(model), out=mean), own, out=mean)
