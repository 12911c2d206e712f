"""The models of gpu_speed.py in PyTorch, with the weights of miniae's: the same steps, as its users write them.

A twin has `step(index)`, a training step on the rows of these numbers, which returns the loss before it;
`load(weights)` begins anew from these.
"""

import peers
import torch
from contest import BOLTZMANN, CONVOLUTIONAL, DENSE


class Network:
    """An autoencoder and Adam: L = 1/N sum (y - x)^2."""

    def __init__(self, name, weights, data, layout=torch.contiguous_format, compiled=False, **adam):
        images = name == CONVOLUTIONAL
        self.data = data.reshape(-1, 1, 28, 28).to(memory_format=layout) if images else data
        module = peers.convolutional() if images else peers.dense(DENSE[name])
        self.module = module.to(data.device, data.dtype).to(memory_format=layout)
        self.optimizer = torch.optim.Adam(self.module.parameters(), lr=1e-3, **adam)
        self.loss = torch.compile(self._loss, mode="reduce-overhead") if compiled else self._loss
        self.load(weights)

    def load(self, weights):
        with torch.no_grad():
            for p, w in zip(self.module.parameters(), weights, strict=True):
                p.copy_(torch.from_numpy(w.T if w.ndim == 2 else w))  # a Linear has its weight as (out, in)
            for state in self.optimizer.state.values():
                for value in state.values():
                    value.zero_()

    def _loss(self, x):
        return ((self.module(x) - x) ** 2).sum() / len(x)

    def step(self, index):
        self.optimizer.zero_grad()
        loss = self.loss(self.data[index])
        loss.backward()
        self.optimizer.step()
        return loss.detach()


class Machine:
    """An RBM, contrastive divergence (CD-1) with momentum and weight cost, by formula.

    `uniform` draws the numbers that hidden units are compared with, for an array of their means.
    """

    RATE, MOMENTUM, WEIGHT_COST = 0.1, 0.5, 2e-4

    def __init__(self, name, weights, data, compiled=False, uniform=torch.rand_like):
        self.data, self.uniform = data, uniform
        self.parameters = [torch.tensor(w, device=data.device, dtype=data.dtype) for w in weights]
        self.velocities = [torch.zeros_like(p) for p in self.parameters]
        self.gradients = torch.compile(self._gradients, mode="reduce-overhead") if compiled else self._gradients

    def load(self, weights):
        for p, v, w in zip(self.parameters, self.velocities, weights, strict=True):
            p.copy_(torch.from_numpy(w))
            v.zero_()

    def _gradients(self, v, w, a, b):
        h = torch.sigmoid(torch.addmm(b, v, w))
        drawn = (self.uniform(h) < h).to(h.dtype)
        v_model = torch.sigmoid(torch.addmm(a, drawn, w.T))
        h_model = torch.sigmoid(torch.addmm(b, v_model, w))
        gw = (v_model.T @ h_model - v.T @ h) / len(v) + self.WEIGHT_COST * w
        return gw, (v_model - v).mean(0), (h_model - h).mean(0), ((v_model - v) ** 2).sum() / len(v)

    def step(self, index):
        *gradients, loss = self.gradients(self.data[index], *self.parameters)
        torch._foreach_mul_(self.velocities, self.MOMENTUM)
        torch._foreach_add_(self.velocities, gradients)
        torch._foreach_add_(self.parameters, self.velocities, alpha=-self.RATE)
        return loss


def twin(name, weights, data, **settings):
    """The twin of a model of contest.py, on the device and in the precision of `data`."""
    return (Machine if name == BOLTZMANN else Network)(name, weights, data, **settings)


def captured(twin, weights, batch, cuda=torch.cuda):
    """The twin's `step` as one CUDA graph, recorded by hand as PyTorch's documentation has it, from these weights."""
    index = torch.arange(batch, device=twin.data.device)  # where the graph looks for the numbers of its rows
    side = cuda.Stream()
    side.wait_stream(cuda.current_stream())
    with cuda.stream(side):
        for _ in range(3):
            twin.step(index)
    cuda.current_stream().wait_stream(side)
    graph = cuda.CUDAGraph()
    with cuda.graph(graph):
        loss = twin.step(index)
    twin.load(weights)

    def step(rows):
        index.copy_(rows)
        graph.replay()
        return loss

    return step


# How PyTorch is run: settings of the twin of a network and of that of a machine, and whether its step is captured.
WAYS = {
    "eager": ({}, {}, False),
    "eager, fused Adam": ({"fused": True}, None, False),
    "reduce-overhead": ({"fused": True, "compiled": True}, {"compiled": True}, False),
    "captured": ({"fused": True, "capturable": True}, {}, True),
    "eager, channels last": ({"fused": True, "layout": torch.channels_last}, None, False),
    "captured, channels last": ({"fused": True, "capturable": True, "layout": torch.channels_last}, None, True),
}


def settings_of(name, way):
    """(settings of the twin, whether its step is captured), or None where a model has no such way."""
    of_network, of_machine, graph = WAYS[way]
    if "channels last" in way and name != CONVOLUTIONAL:
        return None
    settings = of_machine if name == BOLTZMANN else of_network
    return None if settings is None else (settings, graph)


def step_of(name, way, weights, data, batch, cuda=torch.cuda):
    """The twin of a model in one of these ways, and its step; None where the model has no such way."""
    found = settings_of(name, way)
    if found is None:
        return None
    if found[0].get("compiled"):
        torch.compiler.reset()  # it compiles a function for so many models only, and then runs it as it is
    made = twin(name, weights, data, **found[0])
    return made, captured(made, weights, batch, cuda) if found[1] else made.step
