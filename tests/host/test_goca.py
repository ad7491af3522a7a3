"""GoCA in the real host: equal to its equations on the UNet's own modules, and it changes nothing."""

from typing import NamedTuple

import comfy.model_management
import pytest
import torch
from comparing import NoHooks
from emerdiff.nodes.host import goca, session
from emerdiff.nodes.host.clip import words_together
from emerdiff.nodes.host.goca import PlacesAndWords, places_of
from emerdiff.nodes.host.places import Layer
from emerdiff.nodes.host.unet import network_of
from emerdiff.nodes.steps.by_goca import maps_of
from emerdiff.nodes.steps.score_text import GOCA, Asked, Reader, scores_of, signs_of
from emerdiff.nodes.steps.values import Segmentation
from torch.nn.functional import interpolate

from small_model.model import load_clip
from small_model.scenes import HELD_OUT, scene

SIZE = (16, 12)  # cells of the latent


class Read(NamedTuple):
    hook: PlacesAndWords
    entered: dict  # into each attention: tokens of the picture [1, h*w, C], and of the text
    modules: dict
    predictions: list


@pytest.fixture(scope="module", params=["sd1", "small"])
def read(request):
    """One evaluation with GoCA's hook, and one without, whose modules' inputs are caught."""
    model, vae, conditioning = request.getfixturevalue(request.param)
    generator = torch.Generator().manual_seed(0)
    latent = torch.randn(1, vae.latent_channels, *SIZE, generator=generator)
    context = torch.randn(1, *conditioning[0][0].shape[1:], generator=generator)
    hook = PlacesAndWords(model, places_of(model, SIZE), session.attend)
    modules, entered, predictions = attentions(model, hook), {}, []

    def caught(place):
        return lambda module, args, kwargs: entered.update({place: (args[0].clone(), kwargs.get("context"))})

    def work(x0, predict):
        handles = [each.register_forward_pre_hook(caught(at), with_kwargs=True) for at, each in modules.items()]
        predictions.append(predict(latent, 0.7, NoHooks()))
        for handle in handles:
            handle.remove()
        predictions.append(predict(latent, 0.7, hook))
        return x0

    with torch.inference_mode():
        session.run_session(model, [[context, {}]], latent, work)
        comfy.model_management.load_models_gpu([model])
        yield Read(hook, entered, modules, predictions)


def attentions(model, hook) -> dict:
    network, found = network_of(model), {}
    for layer in hook.places.grids:
        block = network.middle_block if layer.block == "middle" else getattr(network, f"{layer.block}_blocks")[layer[1]]
        (part,) = (part for part in block if hasattr(part, "transformer_blocks"))
        for name in ("attn1", "attn2"):
            found[layer, name] = getattr(part.transformer_blocks[layer.transformer], name)
    return found


def test_reading_changes_nothing(read):
    plain, with_hook = read.predictions
    assert torch.equal(plain, with_hook)
    assert set(read.hook.maps) == set(read.hook.own) == set(read.hook.places.grids)


def softmaxed(module, tokens, text) -> list[tuple]:
    """Of every head its map [n, m] and its part of the output [n, C], by the equations."""
    query, key, value = module.to_q(tokens)[0], module.to_k(text)[0], module.to_v(text)[0]
    size, weight, found = module.dim_head, module.to_out[0].weight, []
    for head in range(module.heads):
        own = slice(head * size, (head + 1) * size)
        scores = query[:, own] @ key[:, own].T / size**0.5
        maps = scores.exp() / scores.exp().sum(1, keepdim=True)
        found.append((maps, maps @ value[:, own] @ weight[:, own].T))
    return found


def test_maps_are_those_of_the_equations(read):
    hook, places = read.hook, read.hook.places
    height, width = places.grids[places.reference]
    feature = read.modules[places.reference, "attn2"].to_q(read.entered[places.reference, "attn2"][0])[0]
    scores = feature @ feature.T / feature.shape[1] ** 0.5
    reference = (scores - scores.amax(1, keepdim=True)).exp()
    reference = reference / reference.sum(1, keepdim=True)
    weights, together, carrying = {}, [], []
    for layer, grid in places.grids.items():
        tokens, _ = read.entered[layer, "attn1"]
        own = sum(maps for maps, _ in softmaxed(read.modules[layer, "attn1"], tokens, tokens))
        own = own / read.modules[layer, "attn1"].heads
        if layer in places.carrying:
            carrying.append(own)
        on_grid = interpolate(own.view(-1, 1, *grid), (height, width), mode="bilinear").view(*grid, height, width)
        on_grid = interpolate(on_grid.permute(2, 3, 0, 1), (height, width), mode="nearest").permute(2, 3, 0, 1)
        weights[layer] = float((reference * on_grid.reshape(height * width, -1)).sum())
    for layer, grid in places.grids.items():
        heads = softmaxed(read.modules[layer, "attn2"], *read.entered[layer, "attn2"])
        whole = sum(output for _, output in heads)
        dots = [(output * whole).sum(1, keepdim=True) for _, output in heads]
        maps = sum(dot / sum(dots) * own for dot, (own, _) in zip(dots, heads, strict=True))
        torch.testing.assert_close(hook.maps[layer], maps, rtol=1e-4, atol=1e-5)
        large = interpolate(maps.T.view(1, -1, *grid), places.finest, mode="bilinear")[0]
        together.append(weights[layer] / sum(weights.values()) * large)
    scores = sum(together).clamp(min=0)
    scores = scores / scores.sum(0)  # [tokens, h, w]
    groups = torch.zeros(2, len(scores))
    groups[0, 1:3], groups[1, 3] = 1, 1
    words = torch.stack([scores[1:3].mean(0), scores[3]]) / scores[1:4].sum(0)
    words, own = blurred(words), sum(carrying) / len(carrying)
    carried = (own @ (own @ evened(words).flatten(1).T)).T.reshape(2, *places.finest)
    error = (maps_of(hook, places, groups) - evened(carried)).abs().max().item()
    stretched = min(span(words)) * min(span(carried))  # both are brought to 0..1, and errors with them
    print(f"largest error {error:.1e}, of what was stretched {error * stretched:.1e}")
    assert error * stretched < 1e-5


def span(maps) -> list[float]:
    return (maps.amax((1, 2)) - maps.amin((1, 2))).tolist()


def blurred(maps):
    weights = torch.exp(-0.5 * (torch.arange(-2.0, 3.0) / 1.1) ** 2)
    weights = weights / weights.sum()
    padded = torch.nn.functional.pad(maps[None], (2, 2, 2, 2), mode="reflect")[0]
    height, width = maps.shape[1:]
    return sum(
        weights[row] * weights[column] * padded[:, row : row + height, column : column + width]
        for row in range(5)
        for column in range(5)
    )


def evened(maps):
    return (maps - maps.amin((1, 2), keepdim=True)) / (
        maps.amax((1, 2), keepdim=True) - maps.amin((1, 2), keepdim=True)
    )


def test_sd1_is_read_where_published_and_others_as_sdxl(monkeypatch):
    def layout(*blocks):
        return {Layer(name, number, 0): halvings for name, number, halvings in blocks}

    inputs = [("input", number, halvings) for number, halvings in zip((1, 2, 4, 5, 7, 8), (0, 0, 1, 1, 2, 2))]
    outputs = [("output", number, 3 - number // 3) for number in range(3, 12)]
    full = layout(*inputs, ("middle", 0, 3), *outputs)
    monkeypatch.setattr(goca, "cross_attention_layers", lambda model: full)
    monkeypatch.setattr(goca, "grid_of", lambda model, layer, latent: tuple(side >> full[layer] for side in latent))
    found = places_of(None, (64, 64))
    assert str(found.reference) == "output 7.0" and found.finest == (64, 64)
    assert list(map(str, found.carrying)) == ["output 9.0", "output 10.0", "input 2.0"]
    sdxl = layout(("input", 4, 1), ("input", 7, 2), ("middle", 0, 2), ("output", 0, 2), ("output", 3, 1))
    full.clear()
    full.update(sdxl)
    found = places_of(None, (128, 128))
    assert str(found.reference) == "output 3.0" and found.finest == (64, 64)
    assert list(map(str, found.carrying)) == ["input 4.0", "output 3.0"]


def test_words_are_marked_in_the_text_of_all(small):
    _, groups = words_together(load_clip(), ["disc", "sky", "star"])
    assert groups[:, :3].tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]] and groups.sum() == 3


def test_words_of_the_small_model_are_scored(small):
    true = scene(HELD_OUT + 300)
    segmentation = Segmentation(torch.from_numpy(true.labels)[None].to(torch.int16), len(true.words))
    reader = Reader(small.model, load_clip(), small.vae)
    asked = Asked(", ".join(true.words[2:]), 0, GOCA, ", ".join(true.words[:2]))
    signs = signs_of(reader, segmentation, torch.from_numpy(true.image)[None], asked)
    assert signs.maps.amin() >= 0 and signs.maps.amax() <= 1
    assert scores_of(signs, segmentation, GOCA).shape == (1, len(set(true.words[2:])), len(true.words))
