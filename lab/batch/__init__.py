"""Many pictures: a folder of them, one after another or spread over processes and machines."""
