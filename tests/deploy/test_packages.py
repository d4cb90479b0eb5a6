"""The packages of distributions, and what is built for Python's own tools: complete, clean, the same bytes twice."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from exporter import __version__

pytestmark = pytest.mark.complete(reason="fetches wheels and builds packages")

ROOT = Path(__file__).parents[2]
DIST = ROOT / "dist"


def run(*argv: str | Path, cwd: Path = ROOT, **environ: str) -> str:
    done = subprocess.run(
        [str(each) for each in argv], cwd=cwd, env={**os.environ, **environ},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return done.stdout


def build(kind: str, pattern: str) -> Path:
    pytest.importorskip("shtab", reason="make .venv brings it: the completions' generator")
    for old in DIST.glob(pattern):
        old.unlink()
    run(sys.executable, "-m", "deploy.packages", kind)
    (made,) = DIST.glob(pattern)
    return made


@pytest.fixture(scope="module")
def deb(require_program: Callable[[str, str], str]) -> Path:
    require_program("dh", "apt-get install debhelper")
    return build("deb", "*.deb")


@pytest.fixture(scope="module")
def rpm(require_program: Callable[[str, str], str]) -> Path:
    require_program("rpmbuild", "apt-get install rpm")
    return build("rpm", "*.rpm")


@pytest.fixture(scope="module")
def sdist() -> Path:
    return build("sdist", "*.tar.gz")


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("kind", ["deb", "rpm"])
def test_the_same_source_gives_the_same_bytes(kind: str, request: pytest.FixtureRequest) -> None:
    made: Path = request.getfixturevalue(kind)
    first = digest(made)
    assert digest(build(kind, f"*.{kind}")) == first


def test_lintian_has_nothing_to_say(deb: Path, require_program: Callable[[str, str], str]) -> None:
    lintian = require_program("lintian", "apt-get install lintian")
    assert not re.findall(
        r"^[EW]: .*", run(lintian, "--allow-root", "--tag-display-limit", "0", deb), re.MULTILINE
    )


def test_rpmlint_has_nothing_to_say(rpm: Path, require_program: Callable[[str, str], str]) -> None:
    rpmlint = require_program("rpmlint", "apt-get install rpmlint")
    said = run(rpmlint, "-c", ROOT / "deploy" / "packages" / "rpmlint.toml", rpm)
    assert "0 errors, 0 warnings" in said


FILES = (
    "usr/bin/vmguest-exporter",
    "usr/lib/systemd/system/vmguest-exporter.service",
    "usr/lib/sysusers.d/vmguest-exporter.conf",
    "usr/share/bash-completion/completions/vmguest-exporter",
    "usr/share/fish/vendor_completions.d/vmguest-exporter.fish",
    "usr/share/man/man1/vmguest-exporter.1.gz",
)


@pytest.mark.parametrize(
    ("kind", "others"),
    [
        ("deb", ("etc/default/vmguest-exporter", "usr/share/zsh/vendor-completions/_vmguest-exporter")),
        ("rpm", ("etc/sysconfig/vmguest-exporter", "usr/share/zsh/site-functions/_vmguest-exporter")),
    ],
)
def test_what_is_in_it_and_runs_from_its_tree(
    kind: str, others: tuple[str, ...], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    made: Path = request.getfixturevalue(kind)
    if kind == "deb":
        run("dpkg-deb", "--extract", made, tmp_path)
    else:
        run("rpm", "--checksig", "--nosignature", made)
        run("sh", "-c", f"rpm2cpio {made} | cpio --quiet -idm", cwd=tmp_path)
    names = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")}
    # Debian 12 has units below /lib, later releases below /usr/lib.
    assert {*FILES, *others} <= names | {f"usr/{name}" for name in names}
    program = tmp_path / "usr" / "lib" / "vmguest-exporter"
    assert not [name for name in names if "__pycache__" in name or "cpython-3" in name]
    version = run(sys.executable, "-I", "-S", program, "--version")
    assert version.startswith(f"vmguest-exporter {__version__} ")
    # bcrypt and protobuf work with this Python: compiled against the stable ABI.
    run(
        sys.executable, "-I", "-S", "-c",
        f"import sys; sys.path.append({str(program)!r}); import bcrypt, google._upb._message, yaml",
    )  # fmt: skip


def test_what_an_rpm_needs(rpm: Path) -> None:
    needs = run("rpm", "--query", "--package", "--requires", rpm)
    assert "(python3 >= 3.11 or python3.11 or python3.12 or python311 or python312)" in needs
    assert "vmguest-exporter.service" in run("rpm", "--query", "--package", "--scripts", rpm)
    assert run("rpm", "--query", "--package", "--configfiles", rpm) == "/etc/sysconfig/vmguest-exporter\n"


def test_the_source_distribution_can_run_its_own_makefile(sdist: Path, tmp_path: Path) -> None:
    with tarfile.open(sdist) as archive:
        # As ``filter="data"``, which Debian 12's Python does not know.
        archive.extraction_filter = getattr(tarfile, "data_filter", None)
        archive.extractall(tmp_path)
    (folder,) = tmp_path.iterdir()
    assert {"Makefile", ".ci", "docs", "tests", "CONTRIBUTING.md", "deploy"} <= {
        path.name for path in folder.iterdir()
    }
    assert "make run" in run("make", "help", cwd=folder)
    assert (folder / ".ci" / "environment.sh").exists()


def test_the_wheel_has_the_pages_and_the_command() -> None:
    wheel = build("wheel", "*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        assert {"exporter/outputs/page/index.html", "exporter/py.typed"} <= set(names)
        entry = next(name for name in names if name.endswith("entry_points.txt"))
        assert "vmguest-exporter = exporter.__main__:entry" in archive.read(entry).decode()
        assert {name.partition("/")[0] for name in names} == {
            "exporter",
            f"vmguest_exporter-{__version__}.dist-info",
        }


@pytest.mark.skipif(
    not (os.environ.get("CI") or os.environ.get("INSTALL_DEB")),
    reason="INSTALL_DEB=1 installs the .deb into clean roots, as CI does, in two minutes each",
)
@pytest.mark.parametrize("suite", ["bookworm", "trixie"])
def test_a_life_on_a_clean_debian(deb: Path, suite: str) -> None:
    if os.geteuid() != 0 or shutil.which("mmdebstrap") is None:
        pytest.skip("needs root and mmdebstrap: apt-get install mmdebstrap")
    assert "nothing left but user and group" in run(
        "bash", ROOT / "tests" / "deploy" / "install_deb.sh", deb, suite
    )
