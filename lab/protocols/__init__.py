"""The published protocols: data sets as they are published, and how label maps are scored on them."""
