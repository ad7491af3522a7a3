"""A ComfyUI to run in: set up, started as a server, imported into this process, its front end in a browser."""
