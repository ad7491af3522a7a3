"""EmerDiff values on disk.

layout            the contents of each kind of file: the one table of tensors, axes and dtypes, and checks
safetensors_file  one value <-> one file
digest            a short hash of tensors' contents
names             checks of file names and folders
"""
