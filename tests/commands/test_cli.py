from __future__ import annotations

import errno
import io
import os
import re
import shlex
import socket
import subprocess
import sys
import types
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path

import pytest

from exporter import __main__ as program
from exporter import __version__, app
from exporter.commands import cli, parser
from exporter.config import OPTIONS, Settings
from exporter.errors import NotVMwareError
from exporter.ha import lock
from exporter.ha.rules import Leftover
from exporter.machine import system


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in __import__("os").environ if name.startswith(("VMGUEST_", "OTEL_"))]:
        monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def no_logging(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    calls: list[tuple[str, str]] = []
    monkeypatch.setattr("exporter.log.set_up", lambda level, shape: calls.append((level, shape)))
    return calls


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """The settings that serve was called with, instead of serving."""
    calls: list[Settings] = []

    def serve(settings: Settings, environ: Mapping[str, str]) -> int:
        calls.append(settings)
        return 0

    monkeypatch.setattr(app, "serve", serve)
    return calls


def test_no_command_means_serve(served: list[Settings], no_logging: list[tuple[str, str]]) -> None:
    assert cli.main(["--source=simulated", "--log.level=debug", "--log.format=json"]) == 0
    assert cli.main(["serve", "--source=simulated"]) == 0
    assert [settings.source for settings in served] == ["simulated", "simulated"]
    assert no_logging[0] == ("debug", "json")


def test_heartbeats_that_are_taken_out_leave_their_lock_named(
    served: list[Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found by a stranger: after a crash it was refused, and nobody handed back what was left on: a reset."""
    monkeypatch.setenv("VMGUEST_HA_LOCK_FILE", "/run/other/ha.lock")
    monkeypatch.setenv("VMGUEST_HA_SOURCE", "library")
    assert cli.main([]) == 0
    assert served[0].ha.lock_file == "/run/other/ha.lock"
    monkeypatch.setenv("VMGUEST_HA_INTERVAL", "5s")
    assert cli.main([]) == 2, "nothing is sent at that interval"


def test_after_a_crash_what_is_left_of_the_settings_of_heartbeats_refuses_no_start(
    served: list[Settings], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody else hands back what the exporter that died has left on: a reset."""
    path = tmp_path / "ha.lock"
    settings = tmp_path / "settings.toml"
    settings.write_text('[[ha.check]]\ntype = "file"\n')
    monkeypatch.setenv("VMGUEST_HA_LOCK_FILE", str(path))
    monkeypatch.setenv("VMGUEST_HA_INTERVAL", "5s")
    monkeypatch.setenv("VMGUEST_CONFIG_FILE", str(settings))
    assert cli.main([]) == 2, "nothing is left on"
    held = lock.acquire(str(path))
    assert held is not None
    held.note(Leftover.MONITORING)
    held.release()
    assert cli.main([]) == 0
    assert len(served) == 1
    assert "--ha.interval has no effect without --ha.enabled" in caplog.text
    assert cli.main(["--poll.interval=never"]) == 2, "another mistake is one"
    held = lock.acquire(str(path))
    assert held is not None
    held.note(Leftover.NOTHING)
    held.release()
    assert cli.main([]) == 2


def test_the_environment_counts(served: list[Settings], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VMGUEST_POLL_INTERVAL", "1s")
    assert cli.main([]) == 0
    assert served[0].poll.interval == 1.0


def test_bad_settings_are_all_printed_and_end_with_status_2(
    served: list[Settings], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["--poll.interval=1", "serve", "me", "--nope"]) == 2
    assert served == []
    assert capsys.readouterr().err.splitlines() == [
        "vmguest-exporter: me: serve takes settings only",
        "vmguest-exporter: --nope: no such flag",
        "vmguest-exporter: --poll.interval=1: expected a duration between 100ms and 1h; it needs a unit: 1s",
        "vmguest-exporter: try vmguest-exporter --help",
    ]


class TestWhatWaitingMayMend:
    """Status 1, which systemd restarts after; 2 is for what stays wrong however often it is tried."""

    @pytest.mark.parametrize(
        "argv",
        [
            ["--config.file={missing}"],
            ["--web.config.file={missing}"],
            ["--source=replay", "--replay.file={missing}"],
            ["--source=simulated", "--web.listen-address=127.0.0.1:{port}"],
            ["--source=simulated", "--otlp.endpoint=https://127.0.0.1:1", "--otlp.ca={missing}"],
        ],
    )
    def test_a_file_not_mounted_and_a_port_still_taken(self, argv: list[str], tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            words = [word.format(missing=tmp_path / "missing", port=port) for word in argv]
            assert cli.main(words) == 1

    def test_what_stays_wrong(self, tmp_path: Path) -> None:
        assert cli.main([f"--config.file={tmp_path}"]) == 2  # a folder

    def test_one_of_each_is_not_mended_by_waiting(self, tmp_path: Path) -> None:
        assert cli.main([f"--web.config.file={tmp_path / 'missing'}", "--poll.interval=fast"]) == 2


def test_an_unknown_command_gets_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["referense"]) == 2
    assert "referense: no such command; did you mean reference?" in capsys.readouterr().err


def test_an_unknown_command_hides_no_bad_setting(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--poll.interval=1", "serv", "--log.level=loud"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "vmguest-exporter: serv: no such command; did you mean serve?",
        "vmguest-exporter: --poll.interval=1: expected a duration between 100ms and 1h; it needs a unit: 1s",
        "vmguest-exporter: --log.level=loud: expected one of debug, info, warn, error",
        "vmguest-exporter: try vmguest-exporter --help",
    ]


def test_a_failure_is_one_line_with_advice_and_status_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def serve(settings: Settings, environ: Mapping[str, str]) -> int:
        raise NotVMwareError("this machine is not a VMware guest")

    monkeypatch.setattr(app, "serve", serve)
    assert cli.main([]) == 1
    said = capsys.readouterr().err
    assert said.startswith(
        "vmguest-exporter: this machine is not a VMware guest. In the guest: run the exporter"
    )
    assert said.endswith("--source=simulated.\n")
    assert said.count("\n") == 1


def test_an_interrupt_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def serve(settings: Settings, environ: Mapping[str, str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(app, "serve", serve)
    assert cli.main([]) == 130


@pytest.mark.parametrize("argv", [["--help"], ["-h"], ["serve", "--help"], ["--nope", "--help"]])
def test_help_is_printed_whatever_else_is_wrong(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(argv) == 0
    out = capsys.readouterr().out
    assert "--poll.interval DURATION" in out
    assert "\n    reference\n" in out


def test_the_help_names_every_setting_with_what_holds_without_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    lines = capsys.readouterr().out
    text = "".join(lines.split())  # lines are broken at hyphens too
    for row in OPTIONS:
        assert f"\n  {row.flag}" in lines
        assert "".join(f"{row.help}[{row.default}]".split()) in text
    assert "\n  --extended, --no-extended\n" in lines
    assert "\n  --log.format logfmt|json\n" in lines


def test_help_behind_a_command_is_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["doctor", "--help"]) == 0
    assert "--bundle" in capsys.readouterr().out
    assert cli.main(["ha", "post-app-state", "--help"]) == 0
    assert "need-reset without asking" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith(f"vmguest-exporter {__version__} (Python 3.")


def command(monkeypatch: pytest.MonkeyPatch, *, settings: bool, run: Callable[..., int]) -> None:
    def add_arguments(own: ArgumentParser) -> None:
        own.add_argument("--json", action="store_true")

    module = types.ModuleType("a_command")
    vars(module).update(add_arguments=add_arguments, run=run)
    monkeypatch.setitem(sys.modules, "a_command", module)
    made = parser.Command("a", "a_command", "Do a.", settings)
    monkeypatch.setattr(parser, "available", lambda: [made])


def test_a_command_with_settings_may_load_them(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[bool, str]] = []

    def run(args: Namespace, load: Callable[[], Settings]) -> int:
        seen.append((args.json, load().source))
        return 7

    command(monkeypatch, settings=True, run=run)
    assert cli.main(["--source=library", "a", "--json"]) == 7
    assert cli.main(["a", "--source=library", "--json"]) == 7
    assert seen == [(True, "library"), (True, "library")]


def test_bad_settings_reach_a_command_when_it_loads_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command(monkeypatch, settings=True, run=lambda args, load: load() and 0)
    assert cli.main(["a", "--source=x"]) == 2
    command(monkeypatch, settings=True, run=lambda args, load: 0)
    assert cli.main(["a", "--source=x"]) == 0


def test_a_command_without_settings_refuses_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command(monkeypatch, settings=False, run=lambda args: 3)
    assert cli.main(["a"]) == 3
    assert cli.main(["--nope", "a", "--log.level=debug"]) == 2
    assert "--log.level has no effect on a" in capsys.readouterr().err


def test_a_commands_own_mistakes_are_argparses(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command(monkeypatch, settings=True, run=lambda args, load: 0)
    assert cli.main(["a", "--jsn"]) == 2
    assert "usage: vmguest-exporter a" in capsys.readouterr().err
    assert cli.main(["a", "--help"]) == 0
    assert "Do a." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("serve --sourc=vsock", "--sourc: no such flag; did you mean --source?"),
        ("doctor --sourc=vsock", "doctor: error: --sourc: no such flag; did you mean --source?"),
        ("doctor --jsn", "doctor: error: --jsn: no such flag; did you mean --json?"),
        ("report --ouptut x", "report: error: --ouptut: no such flag; did you mean --output?"),
        ("reference --chek x", "reference: error: --chek: no such flag; did you mean --check?"),
        ("simulate --poll.intervl=1s", "simulate: error: --poll.intervl: no such flag; did you mean --poll.interval?"),
        ("ha --sourc vsock status", "ha: error: --sourc: no such flag; did you mean --source?"),
        ("ha is-enabled --ha.soruce=x", "ha is-enabled: error: --ha.soruce: no such flag; did you mean --ha.source?"),
        ("ha disable --fro 2h", "ha disable: error: --fro: no such flag; did you mean --for?"),
        ("ha enabel", "; did you mean enable?"),
        ("ha post-app-state need-rest", "; did you mean need-reset?"),
        ("report --format=htm", "; did you mean html?"),
    ],
)  # fmt: skip
def test_what_was_meant_behind_a_command_is_said(
    line: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(line.split()) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "flag"),
    [
        ("--poll.interva=1s", "--poll.interva"),
        ("doctor --poll.interva=1s", "--poll.interva"),
        ("doctor --js", "--js"),
        ("ha disable --fo 2h", "--fo"),
    ],
)
def test_no_flag_may_be_abbreviated(
    line: str, flag: str, served: list[Settings], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(line.split()) == 2
    said = capsys.readouterr().err
    assert f"{flag}: no such flag; did you mean --" in said


def test_only_commands_whose_module_is_there_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = parser.Command("x", "exporter.no_such_module", "Nothing.", False)
    monkeypatch.setattr(parser, "COMMANDS", (*parser.COMMANDS, absent))
    names = [each.name for each in parser.available()]
    assert "x" not in names
    assert {"serve", "reference"} <= set(names)


def test_as_a_program_it_exits_with_the_status() -> None:
    for argv, status in (["--version"], 0), (["--nope"], 2):
        done = subprocess.run(
            [sys.executable, "-m", "exporter", *argv], capture_output=True, timeout=30, check=False
        )
        assert done.returncode == status


def test_a_reader_that_has_had_enough_is_no_traceback() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "exporter", "reference"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == 1


def test_the_console_script_exits_with_the_status(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["vmguest-exporter", "--version"])
    with pytest.raises(SystemExit) as caught:
        program.entry()
    assert caught.value.code == 0


def shell(line: str) -> subprocess.CompletedProcess[str]:
    command = f"{shlex.quote(sys.executable)} -m exporter"
    return subprocess.run(
        ["sh", "-c", line.replace("EXPORTER", command)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("line", "status", "said"),
    [
        ("EXPORTER reference >/dev/full", 1, "standard output: No space left on device"),
        ("EXPORTER reference >&-", 0, ""),
        ("EXPORTER --help >/dev/full", 1, "standard output: No space left on device"),
        ("EXPORTER doctor --help >/dev/full", 1, "standard output: No space left on device"),
        ("ulimit -n 6; EXPORTER --source=simulated", 1, "LimitNOFILE="),
    ],
)
def test_what_the_shell_does_to_it_is_no_traceback(line: str, status: int, said: str) -> None:
    done = shell(line)
    assert "Traceback" not in done.stderr, done.stderr
    assert said in done.stderr
    assert done.returncode == status


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (KeyboardInterrupt(), 130, ""),
        (MemoryError(), 1, "out of memory"),
        (OSError(24, "Too many open files"), 1, "LimitNOFILE="),
        (RuntimeError("can't start new thread"), 1, "TasksMax="),
    ],
)
def test_whatever_happens_at_the_start_is_a_line(
    error: BaseException,
    status: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail() -> int:
        raise error

    monkeypatch.setattr(cli, "entry", fail)
    with pytest.raises(SystemExit) as caught:
        program.entry()
    assert caught.value.code == status
    assert said in capsys.readouterr().err


class Output(io.StringIO):
    def fileno(self) -> int:
        return 1


class Unread(Output):
    """Its reader is gone, as Windows tells it."""

    def flush(self) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")


@pytest.mark.parametrize(("output", "swallowed"), [(Unread, True), (Output, False)])
def test_on_windows_an_invalid_argument_is_a_reader_that_is_gone_only_where_one_is(
    output: type[Output], swallowed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> int:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(cli, "HERE", system.WINDOWS)
    monkeypatch.setattr(cli, "main", fail)
    monkeypatch.setattr(os, "dup2", lambda *_: None)
    monkeypatch.setattr(sys, "stdout", output())
    if swallowed:
        assert cli.entry() == 1
    else:
        with pytest.raises(OSError, match="Invalid argument"):
            cli.entry()


@pytest.mark.parametrize("command", ["top", "show", "check", "report"])
def test_help_of_what_is_for_people_fits_a_screen(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """24 lines of 80, less the one of the prompt; what does not fit is named, and stands in the manual."""
    monkeypatch.setenv("COLUMNS", "80")
    assert cli.main([command, "--help"]) == 0
    text = capsys.readouterr().out
    lines = text.splitlines()
    assert len(lines) <= 23
    assert max(map(len, lines)) <= 80
    examples = lines[lines.index("examples:") + 1 :]
    assert len(examples) == 3
    assert all(line.startswith(f"  vmguest-exporter {command}") for line in examples)
    whole = ArgumentParser(command)
    import_module(f"exporter.commands.{command}").add_arguments(whole)
    for flag in re.findall(r"(?<!\S)--?[a-z][\w-]*", whole.format_help()):
        assert re.search(rf"{flag}\b", text), flag


def test_a_flag_that_the_short_help_leaves_out_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["show", "--from=host", "--user=me"]) == 2
    assert "--user has no effect without --url" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ("show", "--for=0.1s"),
        ("check", "--for=0.1s"),
        ("report", "--for=0.1s", "--format=markdown"),
        ("top", "--iterations=1"),
        ("top", "--batch", "--iterations=1"),
    ],
)
def test_standard_output_that_was_closed_before_is_no_mistake(words: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "exporter", *words, "--source=simulated"]
    done = subprocess.run(
        ["sh", "-c", f"exec {shlex.join(command)} >&-"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert "Traceback" not in done.stderr
    assert done.returncode == 0


@pytest.mark.parametrize("line", ["doctor --bundle=", "record", "report --output=", "show metrics --output=", "reference --check="])  # fmt: skip
def test_an_empty_name_is_no_file(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = line.split() if "=" in line else [line, ""]
    assert cli.main(words) == 2
    assert "a path has at least one character" in capsys.readouterr().err


@pytest.mark.parametrize("words", [[""], ["serve", ""], ["", "doctor"], ["doctor", ""], ["--source=simulated", ""]])  # fmt: skip
def test_an_empty_word_starts_nothing(
    words: list[str], served: list[Settings], capsys: pytest.CaptureFixture[str]
) -> None:
    """As ``"$OPTIONS"`` of a shell gives one."""
    assert cli.main(words) == 2
    assert served == []
    assert "''" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "end"),
    [
        ("record x --for=0s", "expected a duration between 1s and 7d"),
        ("top --interval=5ms", "expected a duration between 100ms and 1h"),
        ("show --for=1", "it needs a unit: 1s"),
    ],
)
def test_a_duration_is_refused_with_a_reason_where_there_is_one(
    line: str, end: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(line.split()) == 2
    assert f"{end}\n" in capsys.readouterr().err


@pytest.mark.parametrize("command", [each for each in parser.available() if each.settings and each is not parser.SERVE])  # fmt: skip
def test_the_usage_of_a_command_that_takes_settings_says_so(command: parser.Command) -> None:
    assert parser.of(command).format_usage().endswith("[SETTING ...]\n")


def test_so_does_that_of_each_single_call(capsys: pytest.CaptureFixture[str]) -> None:
    for call in ("enable", "disable", "status", "post-app-state"):
        assert cli.main(["ha", call, "--help"]) == 0
        assert "[SETTING ...]\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    "url", ["http://u:S3CR3T@h", "http://u:S3CR3T", "http://[u:S3CR3T@h", "http://u:S3CR3T@h?k"]
)
def test_a_password_in_the_url_of_an_exporter_is_not_repeated(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["show", f"--url={url}"]) == 2
    said = capsys.readouterr().err
    assert "--url" in said
    assert "S3CR3T" not in said


class TestEveryProblemAtOnce:
    """Whichever stage finds it: reading the words, the values, what they mean together, or the part concerned."""

    @pytest.mark.parametrize(
        ("line", "found"),
        [
            (
                "--source=simulated --poll.interval=9x --replay.loop --simulated.scenario=stead --otlp.endpoint=h --nonsense",
                ["--poll.interval=9x:", "--replay.loop has no effect", "did you mean steady?", "--otlp.endpoint=h:", "--nonsense:"],
            ),
            (
                "doctor --sorce=x --nonsense --poll.interval=9x",
                ["--sorce: no such flag; did you mean --source?", "--nonsense: no such flag", "--poll.interval=9x:"],
            ),
            (
                "show --nonsense --poll.interval=9x --format=htm --for=x --user=me --replay.loop",
                ["--nonsense:", "--poll.interval=9x:", "--format: invalid choice: 'htm'", "--for: 'x':", "--user has no effect", "--replay.loop has no effect"],
            ),
            (
                "show --poll.interval=9x --source=simulated --simulated.scenario=stead --user=me",
                ["--poll.interval=9x:", "did you mean steady?", "--user has no effect"],
            ),
            ("top --nonsense --poll.interval=9x --iterations=0", ["--nonsense:", "--poll.interval=9x:", "--iterations: '0'"]),
            ("report --nonsense --poll.interval=9x --vcpus=0", ["--nonsense:", "--poll.interval=9x:", "--vcpus: '0'"]),
            ("record --nonsense --poll.interval=9x --for=1", ["--nonsense:", "--poll.interval=9x:", "--for: '1'", "required: FILE"]),
            ("record --nonsense x --poll.interval=9x", ["--nonsense:", "--poll.interval=9x:"]),
            ("simulate --nonsense --poll.interval=9x", ["--nonsense:", "--socket is missing", "--poll.interval has no effect on simulate without --fleet"]),
            ("simulate --nonsense --poll.interval=9x --fleet=y", ["--nonsense:", "--poll.interval=9x:", "--fleet=y: expected a number of VMs"]),
            (
                "simulate --nonsense --speed=0 --mix=steady=1 --fault=x --scenario=stedy",
                ["--nonsense:", "--socket is missing", "--speed=0:", "--mix has no effect", "fault 'x':", "did you mean steady?"],
            ),
            (
                "simulate --fleet=5 --nonsense --push-share=2 --mix=stedy=1 --socket=/x --poll.interval=1s --log.level=loud",
                ["--nonsense:", "--push-share=2:", "did you mean steady?", "--socket has no effect", "--poll.interval has no effect", "--log.level=loud:", "--push-share has no effect"],
            ),
            (
                "simulate --fleet=5 --nonsense --push-share=0.5 --otlp.endpoint=ftp://x",
                ["--nonsense:", "--otlp.endpoint=ftp://x:"],
            ),
            ("simulate --fleet=5 words --push-share=0.5", ["unrecognized arguments: words", "--push-share has no effect"]),
            ("record --source=simulated", ["required: FILE", "--source=simulated has no raw replies"]),
            ("record / --source=library --nonsense --poll.interval=9x", ["/: exists", "--source=library has no raw replies", "--nonsense:", "--poll.interval=9x:"]),
            ("record /no/such/x --for=1 --source=simulated", ["there is no folder /no/such", "--source=simulated has no raw replies", "--for: '1'"]),
            ("ha enable --nonsense --source=simulated", ["--nonsense:", "--source=simulated has no host for single calls"]),
            ("ha disable --for=x --source=replay --poll.interval=9x", ["--for=x:", "--source=replay has no host", "--source=replay needs", "--poll.interval=9x:"]),
            ("ha --source=simulated", ["required: CALL", "--source=simulated has no host"]),
            ("show --nonsense --source=simulated --simulated.scenario=stead", ["--nonsense:", "did you mean steady?"]),
            ("reference --nonsense --poll.interval=9x", ["--nonsense:", "--poll.interval has no effect on reference"]),
            ("ha --nonsense status --poll.interval=9x", ["--nonsense:", "--poll.interval=9x:"]),
            ("ha disable --nonsense --poll.interval=9x --for=x", ["--nonsense:", "--poll.interval=9x:", "--for=x:"]),
            ("ha enabel --nonsense", ["--nonsense:", "did you mean enable?"]),
            ("ha dry-run --nonsense --sorce=auto", ["--nonsense:", "--sorce: no such flag; did you mean --source?", "invalid choice: 'dry-run'"]),
            ("ha dry-run --unattended", ["invalid choice: 'dry-run'"]),
            ("show --url=ftp://x --nonsense", ["--nonsense:", "--url=ftp://x:"]),
            ("report --url=ftp://x --poll.interval=9x --output=/no/such/x", ["--url=ftp://x:", "--poll.interval=9x:", "--output=/no/such/x: there is no folder"]),
            ("doctor --bundle=/no/such/x --poll.interval=9x", ["--bundle=/no/such/x: there is no folder", "--poll.interval=9x:"]),
            ("doctor --bundle=/ --nonsense", ["--bundle=/: exists; a bundle never replaces a file", "--nonsense:"]),
            ("doctor --unmasked --poll.interval=9x", ["--unmasked has no effect", "--poll.interval=9x:"]),
        ],
    )  # fmt: skip
    def test_on_the_command_line(
        self, line: str, found: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert cli.main(line.split()) == 2
        said = [
            each
            for each in capsys.readouterr().err.splitlines()
            if each.startswith("vmguest-exporter") and not each.endswith("--help")
        ]
        for each in found:
            assert len([sentence for sentence in said if each in sentence]) == 1, each
        assert len(said) == len(found)

    def test_a_monitoring_plugin_says_them_in_its_one_line(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["check", "--nonsense", "--poll.interval=9x", "--only=x", "--warning=stolen"]) == 3
        (line,) = capsys.readouterr().out.splitlines()
        for each in ("--nonsense: no such flag", "--poll.interval=9x:", "--only: 'x'", "--warning: 'stolen'"):
            assert each in line

    @pytest.mark.parametrize("other", ["--nonsense", "--poll.interval=9x"])
    def test_a_profile_and_a_url_too(self, other: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["check", "--profile=/no/such", "--url=ftp://x", other]) == 3
        (line,) = capsys.readouterr().out.splitlines()
        for each in (other, "--profile=/no/such:", "--url=ftp://x:"):
            assert each in line

    def test_in_order_of_where_they_come_from(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = tmp_path / "settings.toml"
        path.write_text(
            '[[ha.check]]\nname = "a"\ntype = "tpc"\n\n[[ha.check]]\nname = "b"\ntype = "tcp"\n\n'
            '[poll]\nintervl = "1s"\n'
        )
        monkeypatch.setenv("VMGUEST_EXTENDED_INTERVAL", "9x")
        argv = f"--config.file={path} --ha.enabled --source=simulated --nonsense --replay.loop"
        assert cli.main(argv.split()) == 2
        said = [line.removeprefix("vmguest-exporter: ") for line in capsys.readouterr().err.splitlines()]
        assert [line[: len(str(path)) + 3] for line in said if line.startswith(str(path))] == [
            f"{path}:3:",
            f"{path}:5:",  # no host
            f"{path}:5:",  # no port
            f"{path}:10",
        ]
        assert [line.split(":")[0].split(" ")[0].split("=")[0] for line in said[:3]] == [
            "--nonsense",
            "--replay.loop",
            "VMGUEST_EXTENDED_INTERVAL",
        ]

    @pytest.mark.parametrize(
        ("line", "alone"),
        [
            ("--source=simulatd --simulated.scenario=steady", "--source=simulatd:"),
            ("--sorce=simulated --simulated.scenario=steady", "--sorce:"),
            ("serve --sorce=simulated --simulated.scenario=steady", "--sorce:"),
            ("serve --source=simulated --otlp.gzip", "--otlp.gzip: no such flag"),
            ("--config.file=/nonexistent.toml --replay.loop", "/nonexistent.toml:"),
            ("--source=replay --replay.file=/nonexistent.rec", "--replay.file=/nonexistent.rec:"),
            ("--source=simulated --no-web --otlp.endpint=http://localhost", "--otlp.endpint:"),
            ("--source=simulated --otlp.protocol=grcp --otlp.endpoint=localhost:4317", "--otlp.protocol=grcp:"),
            ("record x --source=simulatd", "--source=simulatd:"),
            ("ha status --source=simulatd", "--source=simulatd:"),
            ("simulate --fleet=5 --push-share=0.5 --otlp.endpoint=", "--otlp.endpoint=:"),
            ("--source=simulated --ha.enabled --poll.interval=1x --ha.max-poll-age=1s", "--poll.interval=1x:"),
        ],
    )  # fmt: skip
    def test_nothing_is_concluded_from_what_is_wrong(
        self, line: str, alone: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert cli.main(line.split()) in {1, 2}
        said = [each for each in capsys.readouterr().err.splitlines() if not each.endswith("--help")]
        assert len(said) == 1
        assert alone in said[0]

    @pytest.mark.parametrize("command", ["show", "check", "record x"])
    def test_nor_from_a_flag_that_is_misspelt_behind_a_command(
        self, command: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert cli.main(f"{command} --sorce=simulated --simulated.scenario=steady".split())
        said = capsys.readouterr().err
        assert "--sorce" in said
        assert "no effect" not in said


class TestTwoDashes:
    """``--`` alone, as argparse has it: behind it there are words and no flags."""

    @pytest.mark.parametrize(
        "line",
        [
            "--source=library --",
            "-- serve --source=library",
            "--source=library -- serve",
            "serve --source=library --",
            "--source=library -- -- serve --",
        ],
    )
    def test_where_no_words_are_it_ends_nothing(self, line: str, served: list[Settings]) -> None:
        assert cli.main(line.split()) == 0
        assert [settings.source for settings in served] == ["library"]

    @pytest.mark.parametrize(
        ("line", "said"),
        [
            ("-- --source=library", "--source=library: no such command"),
            ("serve -- --source=library", "--source=library: serve takes settings only"),
            ("simulate -- words", "unrecognized arguments: words"),
            ("ha status -- words", "unrecognized arguments: words"),
            ("show -- --raw", "invalid choice: '--raw'"),
            ("record --poll.interval=9x -- /", "/: exists"),
            ("--source --", "--source: a value is missing"),
        ],
    )
    def test_what_stands_behind_it_is_no_flag(
        self, line: str, said: str, served: list[Settings], capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert cli.main(line.split()) == 2
        assert served == []
        problems = [each for each in capsys.readouterr().err.splitlines() if not each.endswith("--help")]
        assert [said in each for each in problems].count(True) == 1
        assert not any(": --:" in each or "arguments: --" in each for each in problems)

    def test_a_command_before_it_has_its_words(self, monkeypatch: pytest.MonkeyPatch) -> None:
        seen = []

        def run(args: Namespace, load: Callable[[], Settings]) -> int:
            seen.append((args.file, load().source))
            return 0

        monkeypatch.setattr("exporter.commands.record.run", run)
        for line in (
            "record --source=guestrpc -- -x",
            "--source=guestrpc -- record -- -x",
            "-- --no-such record -- -x",
            "-- record --source=guestrpc -- -x",
        ):
            cli.main(line.split())
        assert seen == [(Path("-x"), "guestrpc")] * 3

    @pytest.mark.parametrize(
        "line", ["ha -- post-app-state -- bad", "ha post-app-state -- bad", "ha -- post-app-state bad"]
    )
    def test_the_commands_of_a_command(self, line: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(line.split()) == 2
        assert "invalid choice: 'bad'" in capsys.readouterr().err

    @pytest.mark.parametrize("line", ["ha -- enable --help", "ha enable --help --"])
    def test_help(self, line: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(line.split()) == 0
        assert "--unattended" in capsys.readouterr().out


def test_the_exit_status_of_a_command_is_known_though_whoever_started_the_exporter_ignores_it() -> None:
    """Where SIGCHLD is ignored, a command that failed looks like one that was good."""
    program = (
        "import signal, subprocess, sys\n"
        "signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"
        "from exporter.commands.cli import entry\n"
        "sys.argv = ['vmguest-exporter', '--version']\n"
        "assert entry() == 0\n"
        "sys.exit(subprocess.run(['false']).returncode)\n"
    )
    assert (
        subprocess.run([sys.executable, "-c", program], stdout=subprocess.DEVNULL, check=False).returncode
        == 1
    )
