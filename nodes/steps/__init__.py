"""What the nodes do: the method of `emerdiff_ops` on the model of `host`, listed in the order of the method.

values      what travels on the wires between nodes
checks      refuses models, pictures and masks, and says the way out
belongs     refuses values of earlier steps: those of another kind, or of other pictures
extract     image -> features, trajectory
attention   latents -> each picture's self-attention, for points
cluster     features -> low-resolution masks
modulate    low-resolution masks -> difference maps: modulated denoising, the heart of EmerDiff
read_out    final latents -> difference maps
presets     the presets, and the successors of those that are gone
assemble    difference maps -> segmentation
segment     low-resolution masks -> segmentation: modulate and assemble in one go
lift        any rough mask -> a precise one
merge       segmentation -> fewer segments
picks       texts, points and boxes -> what they name in a segmentation
select      what is picked -> masks
shown       pictures of a segmentation for browsers, as files of the temp folder, and the widget's data
pick        points and boxes -> a rough mask, without segments
levels      the masks that a point may mean, from a part of a thing to the whole thing
cut_out     pictures and masks -> things on a transparent background
score_text  segmentation + text -> how well segments fit, and where the words are
by_concepts  the same for transformers
by_seeds    the same for transformers of one stream
by_goca     the same for UNets, by their attention to all words at once
word_masks  these scores -> masks of what the words name
exchange    boxes and SEGS, for nodes outside this pack
saved       any of the values <-> a file
"""
