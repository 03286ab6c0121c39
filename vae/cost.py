"""How long a token count will take: attention grows with its square, which nobody expects.

Multiplications are counted, the machine's speed at them is measured; drawing points and anything
else is left out. Full attention on two cores at 100,000 tokens of `tiny`: 213 s measured
(benchmarks/vae_tokens.py).
"""

import time

import torch

from preprocessing.console import clock
from vae.model import DoraVAE

WORTH_SAYING = 120.0  # seconds
QUERIES = 7  # of the reader per square cell of a face of the grid, at 256 and 512
SIDE = 768  # of the matrices that the speed is measured with


def operations(model: DoraVAE, tokens: int, resolution: int | None) -> float:
    """Floating point operations of encoding, and, with a resolution, of decoding and reading."""
    config, width = model.config, float(model.config.width)
    points = 2.0 * max(model.variant.points, tokens)

    def layers(count: int) -> float:
        return count * (4 * tokens**2 * width + 24 * tokens * width**2)

    done = 4 * tokens * points * width + layers(config.encoder_layers)
    if resolution is not None:
        queries = QUERIES * resolution**2
        done += layers(config.decoder_layers) + 4 * queries * tokens * width
    return done


def speed(device: torch.device) -> float:
    """Operations a second of matrix products on a device, of the best of three."""
    a = torch.ones((SIDE, SIDE), device=device)
    best = float("inf")
    for _ in range(3):
        started = time.perf_counter()
        (a @ a)[0, 0].item()  # waits for the device
        best = min(best, time.perf_counter() - started)
    return 2 * SIDE**3 / best


def warning(model: DoraVAE, tokens: int, resolution: int | None = None) -> str:
    """What to tell before work that takes minutes; empty for less."""
    seconds = operations(model, tokens, resolution) / speed(model.device)
    if seconds < WORTH_SAYING:
        return ""
    return (
        f"{tokens:,} tokens take about {clock(seconds)} here (h:mm:ss), plus drawing the points; "
        "--attention local:256 is quicker and not exact"
    )
