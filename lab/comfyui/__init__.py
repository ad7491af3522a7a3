"""A ComfyUI to run in: set up, started as a server, imported into this process, its front end in a browser.

environment  .venv and .venv-checks, set up once
hosts        the ComfyUIs in .host
front_ends   the front ends to test in
chromium     a Chromium for the tests
own          a ComfyUI of the user's own
children     processes that end with the command
in_process   ComfyUI's modules and the pack in this process
launch       a command of lab/ in such a process
server       a real server with the packs
browser      the front end in Chromium
workflow     the bundled workflows' prompts, and edits on them
"""
