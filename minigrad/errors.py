"""The errors that minigrad raises.

Each is at once the built-in error a NumPy user expects and the ``RuntimeError`` a PyTorch user expects, so a
script that catches either keeps working.
"""


class ShapeError(ValueError, RuntimeError):
    """Shapes that do not fit together, or an axis that is not there."""


class DtypeError(TypeError, RuntimeError):
    """A dtype that the operation cannot take, or that cannot carry a gradient."""


class DistributionError(ValueError, RuntimeError):
    """A parameter of a probability distribution that it cannot have, or a range that the dtype cannot hold."""


class DeviceError(RuntimeError):
    """Tensors on different devices, or a device that is not there."""


class GraphError(RuntimeError):
    """A misuse of the autograd graph: freed, changed in place, or not there at all."""


class RuleError(ShapeError, GraphError):
    """A backward rule that breaks its contract: a gradient of another shape than its argument, or a change of what
    the rule was handed."""


class AnomalyError(RuntimeError):
    """A NaN or an infinity found by anomaly detection."""
