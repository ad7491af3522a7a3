"""Development-only nodes: the small trained model as MODEL, CONDITIONING and VAE.

Linked into `custom_nodes` beside the pack by the demo and the tests, so that bundled workflows run without
Stable Diffusion weights.
"""


async def comfy_entrypoint():
    from .nodes import SmallModelExtension

    return SmallModelExtension()
