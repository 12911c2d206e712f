"""Differentiable functions, each a hand-written pair of forward and backward."""

from miniae.functions.activation import leaky_relu, relu, sigmoid, softplus, tanh
from miniae.functions.arithmetic import add, divide, multiply, negative, power, subtract
from miniae.functions.linear import dense, matmul
from miniae.functions.loss import binary_cross_entropy_with_logits, squared_error
from miniae.functions.reduction import sum
from miniae.functions.shape import getitem, reshape, transpose
