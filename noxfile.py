"""The tests with every Python that the machine has: nox. One of them: nox --session tests-3.12."""

import nox

nox.options.error_on_missing_interpreters = False
nox.options.sessions = ["tests"]


@nox.session(python=["3.11", "3.12", "3.13", "3.14"])
def tests(session: nox.Session) -> None:
    session.install("--editable", ".[dev]")
    session.run(
        "pytest", "--numprocesses=auto", "-m", "not real and not complete and not windows", *session.posargs
    )


@nox.session
def lint(session: nox.Session) -> None:
    session.install("--editable", ".[dev]")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("mypy")
