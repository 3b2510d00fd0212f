"""Has a model's chat template tried, in a child that may hang or die of it. Kind: hands."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from inglenook.engine.templatefacts import NOT_FACTS, TemplateFacts, TemplateUnfit, decode

WORKER: Final = (sys.executable, "-m", "inglenook.engine.worker.examine")

#: A small board takes some seconds for a vocabulary; a template can loop for ever.
_DEADLINE_S: Final = 60.0


def examine_template(
    path: Path, template: str, *, worker: Sequence[str] = WORKER, deadline_s: float = _DEADLINE_S
) -> TemplateFacts | TemplateUnfit:
    """Find out how a template is; blocks.

    Args:
        path: A model that `inspect_model` has read.
        template: Its template.
        worker: The program that tries it.
        deadline_s: How long it may take, seconds.
    """
    try:
        done = subprocess.run(
            (*worker, str(path)),
            input=template.encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=deadline_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return TemplateUnfit(f"its chat template was tried for {deadline_s:.0f} s without an end")
    except OSError as exc:
        return TemplateUnfit(f"its chat template cannot be tried: {exc.strerror}")
    try:
        return decode(done.stdout)
    except NOT_FACTS:
        return TemplateUnfit(f"trying its chat template ended with {_end(done.returncode)}")


def _end(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
