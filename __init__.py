"""EmerDiff for ComfyUI: fine-grained masks from the Stable Diffusion checkpoint in the graph."""

WEB_DIRECTORY = "./nodes/web"


async def comfy_entrypoint():
    """The pack's extension. The nodes are imported here, not above, so that this folder imports without ComfyUI."""
    from .nodes import EmerDiffExtension

    return EmerDiffExtension()
