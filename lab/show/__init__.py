"""Pictures for people: the demo, the help pages', the workflows' thumbnails."""
