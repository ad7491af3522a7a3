"""What the nodes do: the method of `emerdiff_ops` on the model of `host`, in the order of the method.

values      what travels on the wires between nodes
checks      what models, pictures and masks are refused, and the way out
belongs     what values of earlier steps are refused: another kind, other pictures
extract     image -> features, trajectory
attention   latents -> how each picture attends to itself, for points
cluster     features -> low-resolution masks
modulate    low-resolution masks -> difference maps: modulated denoising, the heart of EmerDiff
read_out    final latents -> difference maps
presets     which presets there are, and what became of those that are gone
assemble    difference maps -> segmentation
segment     low-resolution masks -> segmentation, both of these in one go
lift        any rough mask -> a precise one
merge       segmentation -> fewer segments
picks       texts, points and boxes -> what they name in a segmentation
select      what is picked -> masks
shown       what browsers are shown: pictures of a segmentation as files of the temp folder, and what the widget draws
pick        points and boxes -> a rough mask, without segments
levels      what a point may mean, from a part of a thing to the whole of it
cut_out     pictures and masks -> things on a transparent ground
score_text  segmentation + text -> how well segments fit, and where the words are
by_concepts  the same of transformers
by_seeds    the same of transformers of one stream
by_goca     the same of UNets, by their attention to all words at once
word_masks  these -> the masks that words mean
exchange    boxes and SEGS, for nodes of others
saved       any of the values <-> a file
"""
