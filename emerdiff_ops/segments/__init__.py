"""Finished label maps: one segment number a pixel, and what is done with them.

labels     difference maps -> one segment number per pixel; masks, areas, fingerprint
regions    connected parts: small ones given away, holes filled, split
merging    segments that are alike -> one
texts      what people type and other packs write -> numbers, points, boxes
selection  numbers and points -> segments
boxes      boxes of masks, and the segments in boxes
colors     segment numbers -> pictures for people
"""
