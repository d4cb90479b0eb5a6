from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import pytest

from exporter.commands.cli import main
from exporter.config import Address, Settings, flags, load
from exporter.errors import ConfigError


def loaded(*argv: str, **environ: str) -> Settings:
    line = flags.read(argv)
    return load(line.given, environ, line.problems)


def problems(*argv: str, **environ: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        loaded(*argv, **environ)
    return caught.value.problems


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "vmguest.toml"
    path.write_text('[poll]\ninterval = "3s"\n[log]\nlevel = "warn"\n[web]\nlisten-address = [":3"]\n')
    return path


def test_nothing_given_means_the_defaults() -> None:
    assert load() == Settings()
    assert loaded() == Settings()


def test_flags_win_over_variables_and_those_over_the_file(file: Path) -> None:
    path = f"--config.file={file}"
    assert loaded(path).poll.interval == 3.0
    assert loaded(path, VMGUEST_POLL_INTERVAL="2s").poll.interval == 2.0
    settings = loaded(path, "--poll.interval=1s", VMGUEST_POLL_INTERVAL="2s")
    assert (settings.poll.interval, settings.log.level) == (1.0, "warn")
    assert settings.config.file == str(file)


def test_a_variable_can_name_the_file(file: Path) -> None:
    assert loaded(VMGUEST_CONFIG_FILE=str(file)).log.level == "warn"


def test_repeated_values_of_one_source_add_up_and_replace_the_other_sources(file: Path) -> None:
    path = f"--config.file={file}"
    assert loaded(path).web.listen == (Address("", 3),)
    assert loaded(path, VMGUEST_WEB_LISTEN_ADDRESS=":1,:2").web.listen == (Address("", 1), Address("", 2))
    settings = loaded(
        path, "--web.listen-address=:5", "--web.listen-address=:6", VMGUEST_WEB_LISTEN_ADDRESS=":1"
    )
    assert settings.web.listen == (Address("", 5), Address("", 6))


def test_of_a_single_setting_given_twice_the_last_counts() -> None:
    assert (
        loaded("--poll.interval=1s", "--poll.interval=2s", "--web", "--no-web", "--web").poll.interval == 2.0
    )


def test_every_problem_of_every_source_is_reported_at_once(tmp_path: Path) -> None:
    file = tmp_path / "vmguest.toml"
    file.write_text('[poll]\ninterval = 5\n[extended]\nunknown = "off"\nx = 1\n')
    found = problems(
        "--poll.interval=1ms",
        "--bogus",
        f"--config.file={file}",
        "--web.config.file=/nonexistent.yml",
        VMGUEST_LOG_LEVEL="loud",
        VMGUEST_LOG_LEVL="info",
    )
    assert [problem.replace(f"{tmp_path}/", "") for problem in found] == [
        "--bogus: no such flag",
        "--poll.interval=1ms: expected a duration between 100ms and 1h",
        "--web.config.file=/nonexistent.yml: expected a readable file; No such file or directory",
        "VMGUEST_LOG_LEVEL=loud: expected one of debug, info, warn, error",
        "VMGUEST_LOG_LEVL: no such setting; did you mean VMGUEST_LOG_LEVEL?",
        'vmguest.toml:2: poll.interval = 5: expected a duration between 100ms and 1h; it needs quotes and a unit: "5s"',
        'vmguest.toml:4: extended.unknown = "off": expected true or false; write it without quotes',
        "vmguest.toml:5: extended.x: no such setting",
    ]


def test_an_outvoted_value_must_be_right_too() -> None:
    assert problems("--poll.interval=1s", VMGUEST_POLL_INTERVAL="7")


def test_an_outvoted_value_that_is_wrong_leaves_the_one_that_counts_known() -> None:
    """What follows from that one is told too."""
    asked: list[set[str]] = []

    def check(settings: Settings, environ: Mapping[str, str], unread: Collection[str]) -> list[str]:
        del environ
        asked.append({*unread})
        return [f"of {settings.poll.interval:g}"]

    line = flags.read(["--poll.interval=1s"])
    with pytest.raises(ConfigError) as caught:
        load(line.given, {"VMGUEST_POLL_INTERVAL": "7", "VMGUEST_LOG_LEVEL": "loud"}, check=check)
    assert asked == [{"log.level"}]
    assert "of 1" in caught.value.problems
    found = problems("--source=simulated", "--replay.loop", VMGUEST_SOURCE="nonsense")
    assert any(problem.startswith("--replay.loop has no effect") for problem in found)


def test_of_a_long_value_of_the_file_the_beginning_is_enough(tmp_path: Path) -> None:
    file = tmp_path / "vmguest.toml"
    file.write_text(f'source = "{"x" * 5000}"\n')
    (problem,) = problems(f"--config.file={file}")
    told, _, expected = problem.removeprefix(f"{file}:1: source = ").partition(": expected ")
    assert told == '"' + "x" * 199
    assert expected


def test_a_settings_file_that_is_not_there() -> None:
    assert problems("--config.file=/nonexistent.toml") == (
        "--config.file=/nonexistent.toml: expected a readable file; No such file or directory",
    )


@pytest.mark.parametrize("header", ["topsecret", "a=b,topsecret", "top secret=x"])
def test_a_problem_with_a_header_does_not_repeat_it(header: str) -> None:
    for found in (problems(f"--otlp.headers={header}"), problems(VMGUEST_OTLP_HEADERS=header)):
        assert "secret" not in str(found)
        assert found[0].startswith(("--otlp.headers: expected NAME=VALUE", "VMGUEST_OTLP_HEADERS: expected"))


@pytest.mark.parametrize(
    "login", ["name:s3cret", "name:s3/cret", "name:s3@cret", ":s3cret", "s3cret", "s3%40cret:"]
)
@pytest.mark.parametrize("scheme", ["https://", ""])
def test_a_password_in_a_url_is_refused_and_not_repeated(tmp_path: Path, login: str, scheme: str) -> None:
    url = f"{scheme}{login}@collector:4318"
    path = tmp_path / "settings.toml"
    path.write_text(f'[otlp]\nendpoint = "{url}"\n')
    found = problems(f"--otlp.endpoint={url}", f"--config.file={path}", VMGUEST_OTLP_ENDPOINT=url)
    assert len(found) == 3
    for problem in found:
        assert f"{scheme}<hidden>@collector:4318" in problem
        assert "cret" not in problem


@pytest.mark.parametrize(
    "url",
    ["http://h h:1/v1?api-key=s3cret", "https://u:s3cret@h/v1?api-key=s3cret", "u:s3?cret@h:1", "h h#s3cret"],
)
def test_a_key_in_a_url_is_not_repeated(tmp_path: Path, url: str) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(f'[otlp]\nendpoint = "{url}"\nmetrics-endpoint = ["{url}"]\n')
    found = problems(f"--otlp.endpoint={url}", f"--config.file={path}", VMGUEST_OTLP_METRICS_ENDPOINT=url)
    if "?cret" not in url:  # which is a host without "@", so far as this can tell
        assert len(found) == 4
    for problem in found:
        assert "s3" not in problem
        assert "cret" not in problem


@pytest.mark.parametrize(
    "command", [[], ["serve"], ["show"], ["record"], ["check"], ["report"], ["ha", "status"]]
)
@pytest.mark.parametrize(
    "words",
    [
        ["--otlp.headers=authorization=Bearer", "S3CR3T"],
        ["--otlp.headers", "authorization=Bearer", "S3CR3T"],
        ["--otlp.metrics-endpoint=http://h/v1?key=Bearer", "S3CR3T", "S3CR3T2"],
        ["--otlp.headers=authorization=Bearer", "-S3CR3T"],
        ["--otlp.headers", "-S3CR3T"],
        ["--otlp.headers authorization=Bearer S3CR3T"],
        ["--otlp.headers x-api-key S3CR3T"],
        ["-otlp.headers=authorization=Bearer", "S3CR3T"],
        ["otlp.headers=authorization=Bearer", "S3CR3T"],
        ["--otlp.header=authorization=Bearer", "S3CR3T"],
        ["--otlp.header", "authorization=Bearer", "S3CR3T"],
        ["--otlp-headers=S3CR3T"],
        ["--otlp.endpont=http://u:S3CR3T@h"],
        ["--help=S3CR3T"],
        ["--", "--otlp.headers=authorization=S3CR3T"],
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_a_secret_without_quotes_or_behind_a_misspelled_flag_is_not_repeated(
    command: list[str],
    words: list[str],
    first: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*words, "--log.level=loud", *command] if first else [*command, *words, "--log.level=loud"]) in {2, 3}  # fmt: skip
    said = capsys.readouterr()
    assert "S3CR3T" not in said.out + said.err
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("command", [[], ["show"], ["check"], ["ha", "status"]])
@pytest.mark.parametrize(
    "words",
    [
        ["--otlp.headers=authorization=Bearer", "S3CR3T"],
        ["--otlp.headers=authorization=Bearer", "-S3CR3T"],
        ["--otlp.header=authorization=Bearer", "S3CR3T"],
        ["--otlp.header", "authorization=Bearer", "S3CR3T"],
    ],
)
def test_where_quotes_were_forgotten_it_is_said(
    command: list[str], words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    main([*words, *command])
    said = capsys.readouterr()
    assert "S3CR3T" not in said.out + said.err
    assert "put its value in quotes" in " ".join((said.out + said.err).split())


def test_headers_from_flags_and_from_a_table(tmp_path: Path) -> None:
    assert loaded("--otlp.endpoint=a:1", "--otlp.headers=a=1,b=2", "--otlp.headers=c=3").otlp.headers == (
        ("a", "1"),
        ("b", "2"),
        ("c", "3"),
    )
    file = tmp_path / "x.toml"
    file.write_text('[otlp]\nendpoint = "a:1"\n[otlp.headers]\nAuthorization = "Bearer a,b"\n')
    assert loaded(f"--config.file={file}").otlp.headers == (("authorization", "Bearer a,b"),)


def test_checks_reach_the_settings(tmp_path: Path) -> None:
    file = tmp_path / "x.toml"
    file.write_text('[ha]\nenabled = true\n[[ha.check]]\ntype = "tcp"\n')
    (check,) = loaded(f"--config.file={file}").ha.checks
    assert check.values == {"type": "tcp"}
    assert check.where("type") == f"{file}:4"


def test_a_broken_file_does_not_hide_the_flags_problems(tmp_path: Path) -> None:
    file = tmp_path / "x.toml"
    file.write_text("[[[")
    found = problems(f"--config.file={file}", "--source=vsock")
    assert len(found) == 2


@pytest.mark.parametrize("text", ["", ",", ":1,", ",:1", ":1,,:2", " , "])
@pytest.mark.parametrize("flag", ["--web.listen-address", "--otlp.headers"])
def test_no_list_takes_an_empty_part_from_a_flag(flag: str, text: str) -> None:
    """An exporter that listens nowhere would run and serve nobody."""
    text = text.replace(":", "a=") if flag == "--otlp.headers" else text
    (problem,) = problems(f"{flag}={text}")
    assert problem.startswith(f"{flag}")
    assert problem.endswith("it is empty" if "," not in text else "a part of it is empty")


def test_no_list_takes_an_empty_part_from_a_variable() -> None:
    assert problems(VMGUEST_WEB_LISTEN_ADDRESS=":1,,:2")[0].endswith("a part of it is empty")
    assert loaded(VMGUEST_WEB_LISTEN_ADDRESS="") == loaded(), "an empty variable is none"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[web]\nlisten-address = []\n", "it is empty; leave it out for the default"),
        ('[web]\nlisten-address = [":1", ""]\n', "expected HOST:PORT, :PORT or [IPV6]:PORT"),
        ('[web]\nlisten-address = ""\n', "expected HOST:PORT, :PORT or [IPV6]:PORT"),
        ('[otlp]\nheaders = "a=1,,b=2"\n', "a part of it is empty"),
        ("[otlp]\nheaders = []\n", "it is empty; leave it out for the default"),
    ],
)
def test_no_list_takes_an_empty_part_from_a_file(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "vmguest.toml"
    path.write_text(text)
    (problem,) = problems(f"--config.file={path}")
    assert problem.startswith(f"{path}:2: ")
    assert problem.endswith(why)


def test_what_is_switched_off_in_so_many_words_keeps_its_settings() -> None:
    assert not loaded("--ha.grace=1s", "--no-ha.enabled").ha.enabled
    assert loaded("--no-web", "--web.telemetry-path=/x", "--otlp.endpoint=a:1").web.telemetry_path == "/x"


def test_an_empty_list_is_refused() -> None:
    assert problems("--web.listen-address=")[0].startswith("--web.listen-address=: expected HOST:PORT")
    assert "expected NAME=VALUE" in problems("--otlp.headers=")[0]
