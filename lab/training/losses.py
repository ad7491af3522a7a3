"""What the small Flux is held to: the right word at each token, its flow, and what it was before."""

from torch import Tensor
from torch.nn.functional import cross_entropy, pixel_unshuffle

from small_model.small_flux import PATCH

WORDS = 0.3  # weight of the words beside the latents, in what a block tells


def wrong_words(concepts: Tensor, picture: Tensor, ids: Tensor, named: Tensor, power: float) -> Tensor:
    """[N]: cross-entropy of the softmax over concepts of <o_c, o_x> at the tokens, each word of its area ** -power.

    concepts [N, n, C], picture [N, tokens, C]; ids [N, n] are the concepts' words, named [N, tokens] the right ones.
    """
    match = (named[..., None] == ids[:, None]) & (named > 0)[..., None]
    known, target = match.any(-1), match.float().argmax(-1)
    weights = match.float().sum(1).clamp_min(1).pow(-power).gather(1, target) * known
    scores = (picture @ concepts.transpose(1, 2)).flatten(0, 1)
    wrong = cross_entropy(scores, target.flatten(), reduction="none").view_as(weights)
    return (wrong * weights).sum(1) / weights.sum(1).clamp_min(1e-6)


def missed(told: Tensor, x0: Tensor, named: Tensor) -> Tensor:
    """[N]: how far what a block tells [N, tokens, C + words] is from its token's latents and word."""
    shown = pixel_unshuffle(x0, PATCH).flatten(2).movedim(1, 2)
    latents = shown.shape[-1]
    error = (told[..., :latents] - shown).square().mean((1, 2))
    wrong = cross_entropy(told[..., latents:].movedim(2, 1), named, ignore_index=0, reduction="none")
    return error + WORDS * wrong.sum(1) / (named > 0).sum(1).clamp_min(1)


def squared(a: Tensor, b: Tensor) -> Tensor:
    """[N]: the mean of the squared difference."""
    return (a - b).square().flatten(1).mean(1)
