"""Many pictures: a folder of them, one after another or spread over processes and machines.

segment    a folder's pictures: the command `segment`
pictures   which files are pictures, and each as the model takes it
segmenter  one picture after another -> results
results    files that appear only when whole, and their lines of JSON
cluster    the same work by many processes and machines
machines   what a machine has to see, and what its workers write down
workers    the work on each name, here or on a cluster
"""
