"""Where a model runs, and in which precision, unless its parameters say."""

from __future__ import annotations


def placement(device: str, dtype: str) -> tuple[str, str]:
    """A model's device and dtype from those of its parameters.

    "auto" is a GPU where there is one; and the dtype that a model is stored in there, float32 on a CPU: most are
    several times slower at 16 bits, and nothing is lost.
    """
    if device == "auto":
        import torch

        device = "cuda" if torch.cuda.is_available() else "cpu"
    if dtype == "auto" and device == "cpu":
        dtype = "float32"
    return device, dtype
