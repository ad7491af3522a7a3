"""EmerDiff written plainly, to compare with: every variant alone, batch 1, the whole UNet, no shared work.

Attention is held by recording query and key of every attention of the unmodulated run and putting them back, in
order, into the modulated one. The UNet is reached through the host's own guider, so that whatever a conditioning
brings (pooled text, sizes, a picture beside the latent, a control net, an area) is the host's own. Nothing of the
pack is used.
"""

from functools import partial

import comfy.samplers
import torch
from comfy_extras.nodes_custom_sampler import Guider_Basic


class Replay:
    """Attention override: records (q, k) of every call, or replays what another run recorded."""

    def __init__(self, recorded=None):
        self.recorded, self.calls = recorded, []

    def __call__(self, function, q, k, v, heads, *args, **kwargs):
        if self.recorded is not None:
            q, k = self.recorded[len(self.calls)]
        self.calls.append((q, k))
        return function(q, k, v, heads, *args, **kwargs)


def session(model, conditioning, latent, work):
    """What `work(x0, denoise)` returns, brought from the model's own space to the VAE's scale.

    x0 is `latent` in the model's space; denoise(x, sigma, replay, offset, layer) is `denoised` of this model.
    """

    def sampler(model_k, x, sigmas, extra_args=None, callback=None, disable=None):
        return work(model_k.latent_image, partial(denoised, model_k, extra_args))

    guider = Guider_Basic(model)
    guider.set_conds(conditioning)
    sigmas, noise = torch.tensor([1.0, 0.0]), torch.zeros_like(latent)
    return guider.sample(noise, latent, comfy.samplers.KSAMPLER(sampler), sigmas, disable_pbar=True, seed=0)


def denoised(model_k, extra_args, x, sigma, replay, offset=None, layer=None):
    """One whole UNet evaluation of one latent; `offset` [h*w] is added to the output of cross-attention `layer`."""

    def add(n, options):
        here = (*options["block"], options.get("block_index", 0)) == tuple(layer)
        return n + offset.to(n)[None, :, None] if here else n

    options = extra_args["model_options"]["transformer_options"].copy()
    options["optimized_attention_override"] = replay
    if layer:
        patches = options.get("patches", {})
        options["patches"] = {**patches, "attn2_output_patch": [*patches.get("attn2_output_patch", []), add]}
    model_options = {**extra_args["model_options"], "transformer_options": options}
    return model_k(x, x.new_full((1,), sigma), **{**extra_args, "model_options": model_options})


def difference_maps(model, vae, conditioning, latent, noises, sigmas, masks, strength, layer):
    """d_i [K, H, W] of masks [K, h, w] on the layer's grid."""
    finals = variants(model, conditioning, latent, noises, sigmas, masks, strength, layer)
    images = torch.cat([vae.decode(final).float().cpu() for final in finals.split(1)]).unflatten(0, (-1, 2))
    return (images[:, 0] - images[:, 1]).square().sum(-1).sqrt()


def variants(model, conditioning, latent, noises, sigmas, masks, strength, layer):
    """Final latents [2K, c, h', w'] of every mask's two variants: c = -lambda, c = +lambda; the next mask's; ..."""
    procedure = partial(run_all, noises=noises, sigmas=sigmas, masks=masks, strength=strength, layer=layer)
    return session(model, conditioning, latent, procedure)


def run_all(x0, denoise, noises, sigmas, masks, strength, layer):
    steps, recordings = list(zip(sigmas, [*sigmas[1:], 0.0])), []
    levels = [x0 + sigma * eps.to(x0) for sigma, eps in zip(sigmas, noises)]
    for x, (sigma, _) in zip(levels, steps):
        replay = Replay()
        recordings.append((denoise(x, sigma, replay), replay.calls))
    finals = []
    for mask in masks.to(x0):
        for sign in (-1, 1):
            x = levels[0]
            for step, (sigma, following) in enumerate(steps):
                base, calls = recordings[step]
                offset = (sign * strength * mask.flatten(), layer) if step == 0 else (None, None)
                d = denoise(x, sigma, Replay(calls), *offset)
                if following == 0:
                    x = d
                    continue
                shrink, spread = following**2 / sigma**2, following * (1 - following**2 / sigma**2) ** 0.5
                z = (levels[step + 1] - base - shrink * (levels[step] - base)) / spread
                x = d + shrink * (x - d) + spread * z
            finals.append(x)
    return torch.cat(finals)
