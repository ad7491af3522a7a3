"""The published protocols: data sets as they are published, and how label maps are scored on them.

protocol   label maps scored on data sets: the command `protocol`
data_sets  the data sets by name, their layouts and classes
layouts    where their files lie, and how one picture is read
ways       crop, sides and enlargement of published scripts
methods    ways from a picture to a label map, by name
modified   the paper's modified protocol
scorer     one picture after another -> rows
rows       what is kept of one picture
hungarian  clusters and classes matched one to one
scores     tallies -> IoU and accuracy, with errors
report     rows -> tables
"""
