"""EmerDiff values on disk.

layout            what a file of each kind holds: the one table of tensors, axes and dtypes, and what can be wrong
safetensors_file  one value <-> one file
digest            a short name for what tensors hold
names             names and places that files may have
"""
