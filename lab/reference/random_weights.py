"""Random weights for models whose form is what matters."""

import torch


def random_state(module, seed):
    """Weights that keep activations near unit size, so that attention is neither flat nor saturated."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, value in module.state_dict().items():
        if value.ndim >= 2:
            state[name] = torch.randn(value.shape, generator=generator) * value[0].numel() ** -0.5
        elif name.endswith(("weight", "bias")):
            state[name] = torch.full(value.shape, float(name.endswith("weight")))
        else:
            state[name] = value.clone()  # an autoencoder's own scale and shift
    return state
