"""Models for other programs: ONNX graphs of what a model computes, and PyTorch modules with their weights.

- ONNX: `to_onnx`, `onnx_model`, `Graph`, and `RULES` for layers of your own
- PyTorch: `torch_source`, `to_torch_state_dict`, `from_torch_state_dict`, `read_tensors`, `write_tensors`
"""

from miniae.exchange.onnx_file import PARTS, onnx_model, to_onnx
from miniae.exchange.onnx_graph import Graph
from miniae.exchange.onnx_layers import RULES
from miniae.exchange.torch_networks import torch_source
from miniae.exchange.torch_state import from_torch_state_dict, read_tensors, to_torch_state_dict, write_tensors

__all__ = ["PARTS", "RULES", "Graph", "from_torch_state_dict", "onnx_model", "read_tensors", "to_onnx",
           "to_torch_state_dict", "torch_source", "write_tensors"]
