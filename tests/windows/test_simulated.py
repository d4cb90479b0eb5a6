"""A simulated host on Windows, end to end: what needs nothing of VMware's."""

from __future__ import annotations

import json
import signal

from tests.windows.conftest import Windows, get, samples


def test_the_version_is_told(windows: Windows) -> None:
    done = windows.command("--version")
    assert done.process.returncode == 0, done.log
    assert done.text.startswith("vmguest-exporter ")


def test_a_simulated_host_is_published_and_ctrl_c_ends_it(windows: Windows) -> None:
    program = windows.serve("--source=simulated", "--simulated.scenario=ballooning", "--simulated.seed=1")
    found = samples(get(program.url()))
    assert found["vmguest_up"] == 1
    assert found["vmguest_cpu_limit_hertz"] > 0
    program.process.send_signal(signal.SIGINT)
    assert program.wait() == 0, program.log
    assert "msg=stopped" in program.log
    assert "Traceback" not in program.log


def test_every_line_of_the_log_can_be_json(windows: Windows) -> None:
    program = windows.serve("--source=simulated", "--log.format=json")
    get(program.url())
    program.process.send_signal(signal.SIGINT)
    assert program.wait() == 0
    assert [json.loads(line)["msg"] for line in program.log.splitlines()][-1] == "stopped"
