"""Finished label maps: one segment number a pixel, and what is done with them.

labels     difference maps -> one segment number per pixel; masks, areas, fingerprint
regions    connected parts: small ones given away, holes filled, split
merging    segments that are alike -> one
texts      what people type and other packs write -> numbers, points, boxes
selection  numbers, parts and points -> segments
boxes      boxes of masks, and the segments in boxes
brush      corrections of a finished mask, as pictures
edge       the edge of a finished mask: grown, feathered, holes filled
colors     segment numbers -> pictures for people
"""
