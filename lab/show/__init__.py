"""Pictures for people: the demo, the help pages', the workflows' thumbnails.

demo            the bundled workflows run in a real ComfyUI: `demo`
on_photographs  the same on photographs
session         the demo's server
results         what the demo leaves of a picture
sheet           panels with captions, side by side
help_pictures   the pictures of the help pages
thumbnails      the workflows' thumbnails and the README's pictures
prompts         the workflows as prompts, docs/api/
video_file      pictures <-> a video file
"""
