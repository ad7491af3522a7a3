"""Development-only nodes: the small trained model as MODEL, CONDITIONING and VAE.

Linked into `custom_nodes` beside the pack by the demo and the tests, so that bundled workflows run without
Stable Diffusion weights.

nodes         the nodes that stand in for loaders and for CLIP Text Encode
model         the small model as the host's objects
small_sd      the small Stable Diffusion as the host's objects
small_flux    the small Flux as the host's objects
autoencoder   the small Stable Diffusion's autoencoder
host_objects  weights -> the host's MODEL and VAE
words         single words in place of CLIP
settings      what suits the small model
scenes        procedural pictures with pixel-exact labels
textures      scenes cut out of photographs
clips         scenes that move
photographs   photographs with people's regions
"""


async def comfy_entrypoint():
    from .nodes import SmallModelExtension

    return SmallModelExtension()
