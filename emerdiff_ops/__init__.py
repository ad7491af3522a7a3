"""The mathematics of EmerDiff (Namekata et al., ICLR 2024, arXiv 2401.11739) on plain tensors; knows no ComfyUI.

In the order of the method (paper, section 3):

    schedule     timesteps, noise levels, one step of the edit-friendly inversion
    attention    query capture, shared attention maps, the offset c * M_i
    kmeans       features -> low-resolution masks
    modulation   the modulated denoising loop: masks -> pairs of pictures
    difference   pairs of pictures or latents -> difference maps, evened, smoothed
    guided       maps -> maps that follow the borders of a picture
    lifting      any rough mask -> weights on the grid; two maps -> one mask
    labels       difference maps -> one segment number per pixel; selecting segments
    regions      connected parts: small ones given away, holes filled, split
    merging      segments that are alike -> one
    text_scores  how well segments fit a phrase, by attention and by prediction
    boxes        boxes of masks, and boxes as other packs give them
    colors       segment numbers -> pictures for people
    files        any of these values <-> a safetensors file
    time_left    how long a run will still take
"""
