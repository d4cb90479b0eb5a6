"""What every test may use."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# A busy machine is no failure of what is tested.
settings.register_profile(
    "unhurried",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    max_examples=100 if os.environ.get("COMPLETE") else 30,
)
settings.load_profile("unhurried")

# A job in the background of a shell without job control ignores Ctrl-C, and so would every program that a test starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config: pytest.Config) -> None:
    """http.client of Python before 3.11.4, Debian 12's, leaves a proxy's answer to CONNECT open; later urllib3s do not."""
    if sys.version_info < (3, 11, 4):
        config.addinivalue_line(
            "filterwarnings", r"ignore:unclosed <socket\.socket \[closed\]:ResourceWarning"
        )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Tests that skip for one reason are one line of the summary, wherever they stand."""
    report = yield
    if report.skipped and isinstance(report.longrepr, tuple):
        report.longrepr = ("tests", None, report.longrepr[2])  # type: ignore[assignment]
    return report


@pytest.fixture(scope="session")
def require() -> Callable[[str, str | None, str], str]:
    """Give a real outside component, or skip with the way to get it; in CI a missing one fails.

    ``require(name, found, how)``: ``found`` is its path, or None where it is missing.
    """

    def check(name: str, found: str | None, how: str) -> str:
        if found:
            return found
        message = f"{name} is missing: {how}"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)

    return check


@pytest.fixture(scope="session")
def require_program(require: Callable[[str, str | None, str], str]) -> Callable[[str, str], str]:
    """``require_program(program, how)``: the path of a program that must be installed."""
    return lambda program, how: require(program, shutil.which(program), how)


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A folder with a short name: the path of a unix socket may have 108 bytes at most."""
    folder = Path(tempfile.mkdtemp(prefix="vmg"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def log_as_before() -> Iterator[None]:
    """Levels and handlers as the test found them: a command under test sets up logging for its process."""
    loggers = (logging.getLogger(), *ours())
    before = [(logger, logger.level, list(logger.handlers), logger.propagate) for logger in loggers]
    yield
    for logger, level, handlers, propagate in before:
        logger.setLevel(level)
        logger.propagate = propagate
        for handler in set(logger.handlers) - set(handlers):
            logger.removeHandler(handler)
    for logger in set(ours()) - set(loggers):
        logger.setLevel(logging.NOTSET)


def ours() -> list[logging.Logger]:
    """The exporter's loggers that there are by now: one that a test has silenced is silent for all that follow."""
    every = logging.Logger.manager.loggerDict
    return [
        logging.getLogger("exporter"),
        *(
            logger
            for name, logger in list(every.items())
            if name.startswith("exporter.") and isinstance(logger, logging.Logger)
        ),
    ]
