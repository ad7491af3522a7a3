"""The mathematics of EmerDiff (Namekata et al., ICLR 2024, arXiv 2401.11739) on plain tensors, without ComfyUI.

In the order of the method (paper, section 3):

    schedule     timesteps, noise levels, one step of the edit-friendly inversion
    grid         pixels and cells: where a picture lies in a grid of the network
    views        readings of a picture with mirrored surroundings, flipped, between its cells
    attention    attention maps shared by the rows of a batch, the offset c * M_i
    kmeans       features -> low-resolution masks
    cuts         features -> low-resolution masks, their number decided by normalized cuts
    modulation   the modulated denoising loop: masks -> pairs of pictures
    difference   pairs of pictures or latents -> difference maps; their scaling and smoothing
    guided       maps -> maps that follow the borders of a picture
    borders      coarse masks made to follow a picture's borders: draft masks, and weights of maps
    lifting      a rough mask of any origin -> the response of each pixel to it, against its rivals
    likeness     points and boxes -> a rough mask of the cells with similar features
    markov       self-attention as a Markov chain -> the number of steps from a point to every place
    flood        values -> the level at which a flood from a point reaches each pixel
    ancestors    the masks that a point's cluster grows through as clusters merge
    meant        masks -> which of them a point means
    levels       nested masks of one thing, from fine to coarse, in one map
    rough        rough masks -> the cells with similar features
    text_scores  how well segments fit a phrase, by attention and by prediction
    goca         word maps from cross-attention, with weighted heads, layers and words (GoCA)
    concepts     concept maps from attention outputs (ConceptAttention)
    seeds        maps of the prompt's phrases from competing seeds (FreeFuse)

After the method:

    segments/    finished label maps
    files/       any of these values <-> a safetensors file
    errors       text helpers for errors that users read
"""
