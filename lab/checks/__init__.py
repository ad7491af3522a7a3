"""What has to hold before a change is merged, beside the tests.

trade    style, types, the archive, vulnerabilities, translations: `checks`
suite    the runs of pytest: `test`
compare  whether every node still gives what it gave: `compare COMMIT`
locales  what is stale or missing in other languages: `locales`
"""
