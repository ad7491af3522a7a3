"""EmerDiff written plainly, to compare with: every variant alone, batch 1, the whole UNet, no shared work.

Attention is held by recording query and key of every attention of the unmodulated run and putting them back, in
order, into the modulated one. Nothing of the pack is used.
"""

import comfy.model_management
import torch


class Replay:
    """Attention override: records (q, k) of every call, or replays what another run recorded."""

    def __init__(self, recorded=None):
        self.recorded, self.calls = recorded, []

    def __call__(self, function, q, k, v, heads, *args, **kwargs):
        if self.recorded is not None:
            q, k = self.recorded[len(self.calls)]
        self.calls.append((q, k))
        return function(q, k, v, heads, *args, **kwargs)


def denoised(model, context, x, sigma, replay, offset=None, layer=None):
    """One whole UNet evaluation of one latent; `offset` [h*w] is added to the output of cross-attention `layer`."""

    def add(n, options):
        here = (*options["block"], options.get("block_index", 0)) == tuple(layer)
        return n + offset.to(n)[None, :, None] if here else n

    options = {"optimized_attention_override": replay, "patches": {"attn2_output_patch": [add]} if layer else {}}
    options |= {"cond_or_uncond": [0]}
    sigmas = torch.tensor([sigma], device=x.device)
    return model.model.apply_model(x, sigmas, c_crossattn=context.to(x), transformer_options=options)


def difference_maps(model, vae, context, latent, noises, sigmas, masks, strength, layer):
    """d_i [K, H, W] of masks [K, h, w] on the layer's grid."""
    finals = variants(model, context, latent, noises, sigmas, masks, strength, layer)
    images = torch.cat([vae.decode(final).float().cpu() for final in finals]).unflatten(0, (-1, 2))
    return (images[:, 0] - images[:, 1]).square().sum(-1).sqrt()


def variants(model, context, latent, noises, sigmas, masks, strength, layer):
    """The final latents [1, c, h', w'] of every mask's two variants: c = -lambda, c = +lambda; the next mask's; ..."""
    comfy.model_management.load_models_gpu([model])
    x0 = model.model.process_latent_in(latent).to(model.load_device)
    steps, recordings = list(zip(sigmas, [*sigmas[1:], 0.0])), []
    levels = [x0 + sigma * eps.to(x0) for sigma, eps in zip(sigmas, noises)]
    for x, (sigma, _) in zip(levels, steps):
        replay = Replay()
        recordings.append((denoised(model, context, x, sigma, replay), replay.calls))
    finals = []
    for mask in masks.to(x0):
        for sign in (-1, 1):
            x = levels[0]
            for step, (sigma, following) in enumerate(steps):
                base, calls = recordings[step]
                offset = (sign * strength * mask.flatten(), layer) if step == 0 else (None, None)
                d = denoised(model, context, x, sigma, Replay(calls), *offset)
                if following == 0:
                    x = d
                    continue
                shrink, spread = following**2 / sigma**2, following * (1 - following**2 / sigma**2) ** 0.5
                z = (levels[step + 1] - base - shrink * (levels[step] - base)) / spread
                x = d + shrink * (x - d) + spread * z
            finals.append(model.model.process_latent_out(x))
    return finals
