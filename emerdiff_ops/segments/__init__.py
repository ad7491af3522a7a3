"""Finished label maps: one segment number a pixel, and what is done with them.

labels     difference maps -> one segment number per pixel; masks, areas, fingerprint
regions    connected parts: small ones given away, holes filled, split
merging    segments that are alike -> one
selection  what users type -> segments
boxes      boxes of masks, and boxes as other packs give them
colors     segment numbers -> pictures for people
"""
