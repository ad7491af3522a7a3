"""Cancel in the middle of what a function is called for again and again."""

import comfy.model_management
import pytest


def calls_until_cancelled(monkeypatch, module, name, run) -> int:
    """How often the function `name` was called by `run`, when Cancel came during its second call."""
    work, calls = getattr(module, name), []

    def cancel(*given):
        calls.append(given)
        if len(calls) == 2:
            comfy.model_management.interrupt_current_processing(True)
        return work(*given)

    monkeypatch.setattr(module, name, cancel)
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        run()
    return len(calls)
