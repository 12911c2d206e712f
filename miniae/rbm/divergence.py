"""Contrastive divergence, and its persistent form."""

from __future__ import annotations

from typing import TYPE_CHECKING

from miniae.autodiff import Function
from miniae.backend.sharing import batch_mean, current_share, unshared

if TYPE_CHECKING:
    from miniae.rbm.machine import Machine


_FAST_DECAY = 19 / 20


class ContrastiveDivergence(Function):
    """The log-likelihood's gradient is a difference of two averages,

        d log p(v) / dW = <v h'> under the data - <v h'> under the model,

    and the same with v for the visible and h for the hidden biases. The first is exact: h is E[h | v]. For the second,
    CD-k takes the states that k steps of Gibbs sampling reach from the data, persistent CD those of chains that go on
    from update to update. Backward returns minus this difference, so that a minimising optimizer climbs.

    It is the gradient of no function (Sutskever and Tieleman 2010). The value is what people watch instead: the squared
    error of the reconstruction E[v | h], summed over units and averaged over the batch; h is what was drawn from the
    data, or where nothing was drawn from them (persistent CD), their means.

    As in Hinton and Salakhutdinov's programs the hidden states are drawn, the visible ones of CD are means, and the
    last hidden ones are means: good features, but no longer samples of the model, however large k is. With
    `sample_visible` the visible states are drawn too, as those of persistent CD always are; then CD-k approaches the
    exact gradient as k grows. `weight_cost` W is added to W's gradient, and
    `sparsity_cost` (mean of h - target) to that of the hidden biases.

    Visible units of the kind "gaussian_learned" have v / s^2 in the place of v above, are always drawn, and take their
    `log_variance` as a further input, whose gradient is the difference of the averages of -dE / dlog_variance.

    Fast persistent CD: where the machine has a `fast_lr`, its persistent chains are drawn by W + W_fast, and so are
    their last hidden means. With g the difference above, without costs, every backward also does

        W_fast = 19/20 W_fast + fast_lr g,

    and the same for the biases; variances have no fast part. Where chains have been, the energy rises at once and sinks
    back soon, so they move on however slowly W learns.

    Where ranks share a minibatch, each of them moves all persistent chains, alike, and g is of all samples.

    Hinton 2002; Tieleman, "Training RBMs using approximations to the likelihood gradient", ICML 2008; Tieleman and
    Hinton, "Using fast weights to improve persistent contrastive divergence", ICML 2009; Hinton, "A practical guide to
    training RBMs", 2010.
    """

    def __init__(self, machine: Machine):
        self.machine = machine

    def forward(self, v, w, a, b, *own):
        be, machine = self.be, self.machine
        if machine.training and machine.persistent:
            h = machine.hidden_mean(v)
            self.save(v, h, *self._from_chains())
            reconstruction = machine.visible_mean(h)
        elif machine.training:
            h, drawn = machine.hidden_units.draw(be, machine.hidden_input(v), machine.rng)
            reconstruction, v_model = self._visible_step(drawn)
            self.save(v, h, *self._from_data(v_model))
        else:
            reconstruction = machine.visible_mean(machine.hidden_mean(v))
        error, _ = be.squared_error(reconstruction, v)
        return error

    def _from_data(self, v):
        """States v and means of h after k steps of Gibbs sampling from the data, the first of which gave v."""
        machine = self.machine
        for _ in range(machine.k - 1):
            _, v = self._visible_step(machine.sample_hidden(v))
        return v, machine.hidden_mean(v)

    def _visible_step(self, h):
        """The mean of the visible units given h, and the state by which the chain goes on."""
        be, machine = self.be, self.machine
        if machine.draw_visible:
            return machine.visible_units.draw(be, machine.visible_input(h), machine.rng)
        mean = machine.visible_mean(h)
        return mean, mean

    def _from_chains(self):
        """States v and means of h after k steps of Gibbs sampling from the chains, which are left there.

        A chain is kept as its hidden state: of a step, v given h and then h given v, no product is computed twice.
        """
        be, machine = self.be, self.machine
        values, h = machine.chain_values(), machine.chains._data
        with unshared():  # ranks that share a minibatch have the same chains
            for _ in range(machine.k):
                v = machine.sample_visible(h, values=values)
                mean, h = machine.hidden_units.draw(be, machine.hidden_input(v, values), machine.rng)
        be.copy(h, out=machine.chains._data)
        return v, mean

    def backward(self, gy):
        be, machine = self.be, self.machine
        v, h, v_model, h_model = self.saved
        own = [self._own_gradient()] if machine.visible_units.parameters() else []
        v, v_model = machine.visible_units.scaled(be, v), machine.visible_units.scaled(be, v_model)
        n, n_model = max(len(v), 1), max(len(v_model), 1)  # each average over its own number of states
        # Both averages in one matrix product: the states of the data below those of the model, and each row's h times
        # its share of the difference.
        first = len(v_model)
        states = be.empty((first + len(v), v.shape[1]), v.dtype)
        be.copy(v_model, out=states[:first])
        be.copy(v, out=states[first:])
        shares = be.empty((first + len(v), h.shape[1]), h.dtype)
        be.multiply(h_model, 1.0 / n_model, out=shares[:first])
        be.multiply(h, -1.0 / n, out=shares[first:])
        gw = be.matmul(states.T, shares, out=self.buffer_for(1))
        ga = self._difference(v_model, v)
        gb = be.sum(shares, axis=0)
        if machine.fast_lr is not None:
            for fast, g in zip(machine.fast(), (gw, ga, gb), strict=True):
                batch_mean(be, g)
                be.multiply(fast, _FAST_DECAY, out=fast)
                be.subtract(fast, be.multiply(g, machine.fast_lr), out=fast)
        if machine.weight_cost:
            be.add(gw, be.multiply(machine.weight._data, machine.weight_cost), out=gw)
        if machine.sparsity_cost:
            excess = be.sum(h, axis=0)
            be.subtract(be.multiply(excess, 1.0 / n, out=excess), machine.sparsity_target, out=excess)
            be.add(gb, be.multiply(excess, machine.sparsity_cost, out=excess), out=gb)
        if current_share() is not None:  # else gy is 1
            for g in (gw, ga, gb, *own):
                be.multiply(g, gy, out=g)
        return None, gw, ga, gb, *own

    def _own_gradient(self):
        """The gradient of the log-variances: the mean slope under the model minus that under the data."""
        be, (w, a, _) = self.be, self.machine.values()
        v, h, v_model, h_model = self.saved
        slope = self.machine.visible_units.slope
        model, data = slope(be, v_model, a, be.matmul(h_model, w.T)), slope(be, v, a, be.matmul(h, w.T))
        return be.subtract(model, data, out=model)

    def _difference(self, model, data):
        """The mean of the model's rows minus that of the data's."""
        be = self.be
        mean, own = be.sum(model, axis=0), be.sum(data, axis=0)
        be.multiply(own, 1.0 / max(len(data), 1), out=own)
        return be.subtract(be.multiply(mean, 1.0 / max(len(model), 1), out=mean), own, out=mean)
