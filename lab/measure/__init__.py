"""Figures: how good the masks are and what they cost, on pictures whose true regions are known.

masks             EmerDiff against the bilinear baseline: `evaluate`
presets           quality against cost: `pareto`
tools             rough masks lifted
words             how well words find segments: `text`
features          ways to read features
counts            ways to decide how many segments
strength          lambda against the pushed layer's output
photographs       lifting on photographs
clicks            how many clicks a thing takes
video             segments of moving scenes
consistency       how steady the segments of a video are
rivals            EmerDiff beside other methods
rival_methods     DiffSeg and DiffCut as methods
speed             every preset against the plain procedure: `benchmark`
speed_click       from a click to an exact mask
speed_full_size   SD1.5's full size
speed_outside     everything outside the network
speed_widget      how soon the click widget answers on a large picture
study             one skeleton for all measurements: arguments, resuming, report
tables            rows -> tables
jobs              what is timed
timing            seconds, FLOPs, memory
beds              the model that is measured on
things            single things on photographs
pictures          the pictures that are measured on
pipeline          the pack's steps as measurements call them
metrics           mIoU, ARI, boundary F
rough             kinds of rough masks
colours           clusters of colours, to compare with
log               rows that are kept, tables in pages
"""
