"""What touches ComfyUI's internals, and nothing else does.

The UNet is reached only through the host's guider, on copies of the model's options, with hooks that the host offers
for it; the user's MODEL is never written to.

    unet      the model's layers, grids, noise levels, and what it takes
    session   the model loaded: predict(x, sigma, hooks)
    hooks     what EmerDiff does inside the network
    passage   whether an evaluation went through the whole network, and who stands in its way
    memory    how many rows go through the network at once
    latents   pictures <-> latents
    clip      texts -> conditioning, and which tokens are words
    progress  bar, time left, preview, text on the node, cancel
    folders   the output, input and temp folders
"""
