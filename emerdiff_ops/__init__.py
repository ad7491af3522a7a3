"""The mathematics of EmerDiff (Namekata et al., ICLR 2024, arXiv 2401.11739) on plain tensors; knows no ComfyUI.

In the order of the method (paper, section 3):

    schedule     timesteps, noise levels, one step of the edit-friendly inversion
    grid         pixels and cells: where a picture lies in a grid of the network
    views        readings of a picture with surroundings, mirrored, between its cells
    attention    shared attention maps, rows that ride along, the offset c * M_i
    kmeans       features -> low-resolution masks
    cuts         features -> as many low-resolution masks as the picture has
    modulation   the modulated denoising loop: masks -> pairs of pictures
    difference   pairs of pictures or latents -> difference maps, evened, smoothed
    guided       maps -> maps that follow the borders of a picture
    borders      coarse masks along a picture's borders: drafts, and weights
    lifting      any rough mask: what it competes with, and who wins
    likeness     points and boxes -> a rough mask, by cells that are alike
    markov       how a picture attends to itself -> how many steps lead from a point to every place
    flood        what is reached from a point without a jump
    ancestors    what a point's cluster merges into, step by step
    levels       masks of all sizes of one thing, each in the next
    rough        rough masks, as the features see them
    text_scores  how well segments fit a phrase, by attention and by prediction
    goca         where a picture attends to words, heads, layers and words weighted
    concepts     where a picture shows concepts, by what attention gives both
    seeds        where a picture shows phrases of its prompt, by seeds that compete

and what comes after it:

    segments/    finished label maps
    files/       any of these values <-> a safetensors file
    errors       words for errors that users read
"""
