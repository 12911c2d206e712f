"""Differentiable functions, each a hand-written pair of forward and backward.

Each takes tensors or arrays.

- arithmetic: `add`, `subtract`, `multiply`, `divide`, `power`, `negative`, `matmul`, `dense`
- element by element: `exp`, `log`, `sqrt`, `absolute`, `clip`
- activations: `linear`, `sigmoid`, `tanh`, `relu`, `leaky_relu`, `elu`, `selu`, `softplus`, `gelu`, `silu`, and
  `activation` for one of your own; `softmax`, `log_softmax`, `logsumexp`, `top_k`
- over axes: `sum`, `mean`, `max`, `min`; shapes: `reshape`, `transpose`, `flatten`, `concatenate`, `getitem`, `pad`,
  `broadcast_to`
- images: `conv2d`, `conv_transpose2d`, `max_pool2d`, `avg_pool2d`, `upsample2d`
- normalisation and noise: `batch_norm`, `layer_norm`, `unit_norm`, `dropout`
- losses: `squared_error`, `absolute_error`, `huber`, `binary_cross_entropy`, `binary_cross_entropy_with_logits`,
  `cross_entropy`
- of codes: `gaussian_code`, `gaussian_code_kl`, `gaussian_kl`, `kl_sparsity`, `mmd`, `straight_through`
"""

from miniae.functions.activation import (
    ACTIVATIONS,
    activation,
    elu,
    gelu,
    get_activation,
    leaky_relu,
    linear,
    relu,
    selu,
    sigmoid,
    silu,
    softplus,
    tanh,
)
from miniae.functions.affine import dense, matmul
from miniae.functions.arithmetic import add, divide, multiply, negative, power, subtract
from miniae.functions.code_length import logistic_code_length
from miniae.functions.conv import conv2d, conv_transpose2d
from miniae.functions.dropout import dropout
from miniae.functions.elementwise import absolute, clip, exp, log, sqrt
from miniae.functions.kernel import inverse_multiquadratics, mmd, squared_distances
from miniae.functions.latent import gaussian_code, gaussian_code_kl, gaussian_negative_log_likelihood
from miniae.functions.loss import (
    LOSSES,
    absolute_error,
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    gaussian_kl,
    get_loss,
    huber,
    kl_sparsity,
    masked_squared_error,
    squared_error,
    weighted_binary_cross_entropy_with_logits,
    weighted_squared_error,
)
from miniae.functions.normalization import batch_norm, layer_norm, unit_norm
from miniae.functions.pooling import avg_pool2d, max_pool2d, upsample2d
from miniae.functions.reduction import max, mean, min, sum
from miniae.functions.shape import broadcast_to, concatenate, flatten, getitem, pad, reshape, transpose
from miniae.functions.softmax import log_softmax, logsumexp, softmax
from miniae.functions.straight_through import straight_through
from miniae.functions.top_k import top_k

__all__ = [
    "ACTIVATIONS", "LOSSES", "absolute", "absolute_error", "activation", "add", "avg_pool2d", "batch_norm",
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "broadcast_to", "clip", "concatenate", "conv2d",
    "conv_transpose2d", "cross_entropy", "dense", "divide", "dropout", "elu", "exp", "flatten", "gaussian_code",
    "gaussian_code_kl", "gaussian_kl", "gaussian_negative_log_likelihood", "gelu", "get_activation", "get_loss",
    "getitem", "huber", "inverse_multiquadratics", "kl_sparsity", "layer_norm", "leaky_relu",
    "linear", "log", "log_softmax", "logistic_code_length", "logsumexp", "masked_squared_error", "matmul", "max",
    "max_pool2d", "mean", "min", "mmd", "multiply", "negative", "pad", "power", "relu", "reshape", "selu", "sigmoid",
    "silu", "softmax", "softplus", "sqrt", "squared_distances", "squared_error", "straight_through", "subtract", "sum",
    "tanh", "top_k",
    "transpose", "unit_norm", "upsample2d", "weighted_binary_cross_entropy_with_logits", "weighted_squared_error",
]
