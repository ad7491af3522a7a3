"""The only modules that touch ComfyUI's internals.

They reach the network only through the host's guider, on copies of the model's options, with hooks that the host
offers. They never write to the user's MODEL.

    network       the interface to a model's network; its latents and noise
    unet          that interface for UNets: their layers and grids, and what they take
    transformers  that interface for transformers: their families, blocks and tokens
    places        layers of UNets and blocks of transformers
    session       the model loaded: predict(x, sigma, hooks)
    hooks         what EmerDiff does inside the network
    passage       whether an evaluation went through the whole network, and which node prevented it
    memory        how many rows go through the network at once
    recipes       how words are found in each family of transformers
    concepts      words through a transformer's text stream, beside the prompt
    seeds         how the picture attends to words of the prompt in one stream
    goca          how a UNet's places attend to words and to each other
    latents       pictures <-> latents
    clip          texts -> conditioning, and which tokens are words
    progress      bar, time left, preview, text on the node, cancel
    time_left     how long a run will still take
    folders       the output, input and temp folders
"""
