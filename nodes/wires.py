"""EmerDiff's own wire types, by their names in saved workflows. steps/values.py describes the values on them."""

from comfy_api.latest import io

FeaturesType = io.Custom("EMERDIFF_FEATURES")
TrajectoryType = io.Custom("EMERDIFF_TRAJECTORY")
LowResMasksType = io.Custom("EMERDIFF_LOW_RES_MASKS")
DifferenceMapsType = io.Custom("EMERDIFF_DIFFERENCE_MAPS")
SegmentationType = io.Custom("EMERDIFF_SEGMENTATION")

EVERY_TYPE = [FeaturesType, TrajectoryType, LowResMasksType, DifferenceMapsType, SegmentationType]
