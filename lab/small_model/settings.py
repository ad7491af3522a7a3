"""What suits the small model, found on scenes that no figure is reported on (seeds from 20,000,000)."""

SEGMENTS = 14
STRENGTH = 30.0  # lambda; the paper's 10 is for SD's activations, these are smaller
NORMALIZE = False
# Rough at high noise levels; a sampler that renews the noise at every step corrects that.
SAMPLING = {"sampler_name": "lcm", "scheduler": "karras", "steps": 30, "cfg": 1.0}
COUNT_FILE = "unet_evaluations"  # in the server's temp folder: a byte per evaluation, for the tests to count
