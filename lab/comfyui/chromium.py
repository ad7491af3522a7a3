"""A Chromium or Chrome for the tests in a browser: the one on PATH, or Debian's package."""

import os
import shutil
from pathlib import Path

from .environment import fetch, one_at_a_time, say
from .own import SetupError

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def find_browser() -> Path | None:
    """A Chromium or Chrome on PATH."""
    found = filter(None, map(shutil.which, BROWSERS))
    return next(map(Path, found), None)


def ensure_browser() -> Path:
    """A Chromium or Chrome: the one on PATH, or Debian's package, installed where this user may do so."""
    if not find_browser() and may_use_apt():
        with one_at_a_time():
            if not find_browser():
                say("Installing Chromium with apt-get (about 100 MB), for the tests in a browser")
                quiet = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
                fetch("Debian's lists of packages", ["apt-get", "update", "-q"], quiet)
                install = ["apt-get", "install", "-q", "-y", "--no-install-recommends", "chromium"]
                fetch("Debian's package chromium", install, quiet)
    browser = find_browser()
    if browser is None:
        raise SetupError(
            "The tests in a browser need Chromium or Chrome on PATH, and none can be installed from here. On Debian: "
            "sudo apt install chromium. Without them: test --tier pure (or host, server, quality)."
        )
    return browser


def may_use_apt() -> bool:
    return bool(shutil.which("apt-get")) and Path("/etc/debian_version").exists() and os.geteuid() == 0
