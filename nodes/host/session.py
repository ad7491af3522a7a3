"""Loads the model and asks its network for the denoised prediction, with hooks that last one evaluation."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext, suppress
from functools import partial

import comfy.model_patcher
import comfy.samplers
import torch
from comfy.ldm.modules.attention import optimized_attention
from torch import Tensor

from . import network
from .hooks import Captured
from .passage import Passage

# Other packs' wrappers of the UNet that would make our evaluations wrong or slow: EasyCache returns what it computed
# for other rows, and torch.compile recompiles for every hook and batch size.
BYPASSED_WRAPPERS = ("easycache", "torch.compile")


class _PlainGuider(comfy.samplers.CFGGuider):
    """The positive conditioning alone: no guidance, and none of the hooks around it that run the UNet again."""

    def outer_predict_noise(self, x, timestep, model_options=None, seed=None):
        conds = [self.conds["positive"]]
        return comfy.samplers.calc_cond_batch(self.inner_model, conds, x, timestep, model_options or {})[0]


def run_session(model, conditioning, latent: Tensor, work: Callable, rows: int = 1) -> Tensor:
    """Runs `work(x0, predict)` with the model loaded; returns its latents at the VAE's scale.

    x0 [1, c, h', w'] is `latent` in the model's own space. predict(x, sigma, hooks) is the denoised prediction;
    hooks.install(transformer_options) is given options that live for this one evaluation. The host keeps memory free
    for `rows` rows.
    """
    own = network.of(model)
    layers = own.layers_to_pass()
    in_time = network.latent_axes(model) == 3  # pictures of such models are videos of one frame

    def passes(model_k, x, sigmas, extra_args=None, callback=None, disable=None):
        x0, predict = model_k.latent_image[:1], partial(_predict, partial(model_k, **extra_args), layers, in_time)
        return _frame(work(_still(x0, in_time), predict), in_time)

    guider = _PlainGuider(model)
    guider.inner_set_conds({"positive": own.read_with(conditioning)})
    sigmas = torch.tensor([network.sigma_of(model, 1), 0.0])
    latent = _frame(latent.expand(-(-rows // 2), -1, -1, -1), in_time)  # the host reserves memory for twice as many
    sampler = comfy.samplers.KSAMPLER(passes)
    with run_eagerly():
        finals = guider.sample(torch.zeros_like(latent), latent, sampler, sigmas, disable_pbar=True, seed=0)
    return _still(finals, in_time)


def capture_once(model, conditioning, latent: Tensor, sigma: float, capture, noise: Tensor | None = None) -> None:
    """One evaluation of a latent [1, c, h', w'] at noise level sigma, until the capture ends it.

    Without `noise` the network gets the latent as it is, and is still told that level.
    """

    def work(x0, predict):
        predict(x0 if noise is None else network.with_noise(model, x0, sigma, noise.to(x0)), sigma, capture)
        return x0

    with suppress(Captured):
        run_session(model, conditioning, latent, work)


def _predict(model_k: partial, layers: int | None, in_time: bool, x: Tensor, sigma: float, hooks) -> Tensor:
    """One evaluation of the network: the denoised prediction of x [rows, c, h', w'] at noise level sigma."""
    options = own_options(model_k.keywords["model_options"])
    passage = Passage(options)
    hooks.install(options["transformer_options"])
    x = x.contiguous(memory_format=torch.channels_last)  # convolutions are as fast or faster in this layout
    denoised = model_k(_frame(x, in_time), x.new_full((x.shape[0],), sigma), model_options=options)
    passage.check(layers)
    return _still(denoised, in_time)


def _frame(latents: Tensor, in_time: bool) -> Tensor:
    """Latents [N, c, h', w'] as the model takes them, with an axis for time where it has one."""
    return latents.unsqueeze(2) if in_time else latents


def _still(latents: Tensor, in_time: bool) -> Tensor:
    return latents.squeeze(2) if in_time else latents


def own_options(model_options: dict) -> dict:
    """A copy of the options for one evaluation, without other packs' entries that conflict with ours."""
    options = comfy.model_patcher.create_model_options_clone(model_options)
    options.pop("context_handler", None)  # it would take our rows for the frames of a video
    for wrappers in options["transformer_options"].get("wrappers", {}).values():
        for key in BYPASSED_WRAPPERS:
            wrappers.pop(key, None)
    return options


def run_eagerly():
    """A context in which whatever torch.compile wrapped runs uncompiled."""
    stance = getattr(torch.compiler, "set_stance", None)  # torch 2.6 and newer
    return stance("force_eager") if stance else nullcontext()


def attend(query: Tensor, key: Tensor, value: Tensor, options: dict) -> Tensor:
    """The host's attention as a layer would run it, or the override of another pack: [rows, n, heads * dim]."""
    precision = options["attn_precision"]
    return optimized_attention(
        query, key, value, options["n_heads"], attn_precision=precision, transformer_options=options
    )
