"""Every ``sh`` block of the documents does what it says, as it stands there, on the simulated host.

``make run`` is the program that these tests start for it, at a port of its own, and ``make test`` is these tests;
.ci/run has make itself do both.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/*.md"))]
BLOCKS = [
    (path.name, block.strip())
    for path in PAGES
    for block in re.findall(r"^```sh\n(.*?)^```$", path.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Where an exporter of a simulated host serves, once it has read both kinds of statistics."""
    argv = [sys.executable, "-m", "exporter", "--source=simulated", "--web.listen-address=127.0.0.1:0"]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stderr is not None
        try:
            yield next(
                match[1] for line in process.stderr if (match := re.search(r"http://(\S+)/metrics", line))
            )
        finally:
            process.terminate()


def test_the_documents_have_blocks_to_run() -> None:
    assert {("README.md", "make run"), ("README.md", "make test")} <= {*BLOCKS}
    assert len(BLOCKS) >= 5


@pytest.mark.parametrize(("page", "block"), BLOCKS)
def test_a_block_runs_and_prints_something(page: str, block: str, address: str, tmp_path: Path) -> None:
    if block == "make test":
        return  # This is it.
    if block == "make run":
        return  # The fixture did it.
    if block.startswith("curl") and shutil.which("curl") is None:
        pytest.skip("curl is not here: apt-get install curl")
    script = block.replace("localhost:10052", address)
    environ = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for _ in range(20):
        done = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", script],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
            cwd=tmp_path, env=environ,
        )  # fmt: skip
        if done.returncode == 0 and done.stdout:
            return
        time.sleep(0.05)  # The first poll may be on its way.
    pytest.fail(f"{page}: {block}\n{done.stdout}{done.stderr}")
