"""Concept maps of a picture from attention outputs (ConceptAttention, Helbling et al., ICML 2025).

phi(c, x) = <o_c, o_x> for concept c and the picture's token x. o is the output of a layer's attention before the output
projection, all heads side by side. Everything here is of one picture and float32.
"""

from __future__ import annotations

import torch

COUNTER_WORDS = ("background", "floor", "tree", "person", "grass", "face")  # published, for ImageNet-Segmentation


def concept_scores(concepts: torch.Tensor, picture: torch.Tensor, unit: bool = False) -> torch.Tensor:
    """phi of one layer, [n, tokens], from its attention outputs: concepts [n, C], picture [tokens, C].

    `unit` scales each concept's vector to length 1.
    """
    concepts, picture = concepts.float(), picture.float()
    if unit:
        concepts = concepts / (concepts.norm(dim=-1, keepdim=True) + 1e-8)
    return concepts @ picture.T


def concept_maps(scores: torch.Tensor, temperature: float = 0.0) -> torch.Tensor:
    """Each concept's share of each token, [n, tokens], from phi of all noise levels and layers [m, n, tokens].

    The mean of the layers' softmax over concepts; with a temperature, the softmax of the layers' mean divided by it.
    """
    if temperature:
        return (scores.mean(0) / temperature).softmax(0)
    return scores.softmax(1).mean(0)


def rivals_of(phrases: list[str], counter_words: list[str]) -> list[str]:
    """The texts that compete for the tokens: the phrases, each once, and the counter-words not among them."""
    return list(dict.fromkeys([*phrases, *counter_words]))
