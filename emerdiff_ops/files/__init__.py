"""EmerDiff values on disk.

layout            what a file of each kind holds: the one table of tensors, axes and dtypes, and what can be wrong
safetensors_file  one value <-> one file
names             names and places that files may have
"""
