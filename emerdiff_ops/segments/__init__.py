"""Finished label maps, with one segment number a pixel, and operations on them.

labels     difference maps -> one segment number per pixel; masks, areas, fingerprint
regions    connected parts: small ones removed, holes filled, segments split
touching   equal things that touch -> parted at the neck between them
merging    similar segments -> one
texts      typed texts and values of other packs -> numbers, points, boxes
selection  numbers, parts and points -> segments
boxes      boxes of masks, and the segments in boxes
brush      corrections of a finished mask by a painted picture
edge       the edge of a finished mask: grown, feathered, holes filled
colors     segment numbers -> pictures for people
"""
