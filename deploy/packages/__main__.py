"""Every package below ``dist/``: ``make packages``, or some of them by name.

python -m deploy.packages            all
python -m deploy.packages pyz deb    some
"""

from __future__ import annotations

import fcntl
import gzip
import os
import platform
import shutil
import subprocess
import sys
import zipapp
from pathlib import Path

from deploy.packages import command_line, tree
from exporter import __version__

ROOT = tree.ROOT
BUILD, DIST = ROOT / "build" / "packages", ROOT / "dist"
WHEELS = BUILD / "wheels"
NAME = "vmguest-exporter"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
PYZ_LIMIT = 3_000_000
"""Bytes: it is copied to 200 machines by hand."""


def main(argv: list[str]) -> int:
    makers = {"wheel": wheel, "sdist": sdist, "pyz": pyz, "deb": deb, "rpm": rpm}
    if unknown := set(argv) - makers.keys():
        print(
            f"no such package: {', '.join(sorted(unknown))}; there are {', '.join(makers)}", file=sys.stderr
        )
        return 2
    os.environ["SOURCE_DATE_EPOCH"] = str(tree.epoch())
    DIST.mkdir(exist_ok=True)
    BUILD.mkdir(parents=True, exist_ok=True)
    with (BUILD / "lock").open("w") as lock:
        # One at a time: the wheels and the trees below build/ are shared.
        fcntl.flock(lock, fcntl.LOCK_EX)
        for name in argv or makers:
            made = makers[name]()
            print(f"{made.relative_to(ROOT)}: {made.stat().st_size:,} bytes", flush=True)
    return 0


def wheel() -> Path:
    return _python("wheel", f"vmguest_exporter-{__version__}-py3-none-any.whl")


def sdist() -> Path:
    return _python("sdist", f"vmguest_exporter-{__version__}.tar.gz")


def pyz() -> Path:
    """One file for any Python from 3.11 on, without compiled parts."""
    folder = BUILD / "pyz"
    tree.make(folder, WHEELS)
    file = DIST / f"{NAME}.pyz"
    zipapp.create_archive(folder, file, "/usr/bin/env python3", compressed=True)
    file.chmod(0o755)
    if file.stat().st_size > PYZ_LIMIT:
        raise SystemExit(f"{file} has {file.stat().st_size:,} bytes; at most {PYZ_LIMIT:,} are wanted")
    return file


def deb() -> Path:
    architecture = ARCHITECTURES[platform.machine()]
    folder = BUILD / "deb" / f"{NAME}-{__version__}"
    _lay_out(
        folder, architecture, settings="etc/default", zsh="usr/share/zsh/vendor-completions", units="debian"
    )
    shutil.copytree(ROOT / "deploy" / "packages" / "debian", folder / "debian", dirs_exist_ok=True)
    for name in ("CHANGELOG.md", "README.md"):
        shutil.copy2(ROOT / name, folder)
    for template in (folder / "debian").glob("*.in"):
        template.with_suffix("").write_text(_stamped(_read(template)), encoding="utf-8")
        template.unlink()
    (folder / "debian" / "rules").chmod(0o755)
    _run("dpkg-buildpackage", "--build=binary", "--no-sign", "--unsigned-changes", cwd=folder)
    return _kept(folder.parent / f"{NAME}_{__version__}-1_{architecture}.deb")


def rpm() -> Path:
    machine = platform.machine()
    folder = BUILD / "rpm"
    root = folder / "root"
    _lay_out(
        root,
        ARCHITECTURES[machine],
        settings="etc/sysconfig",
        zsh="usr/share/zsh/site-functions",
        units="usr/lib/systemd/system",
    )
    for name, place in (("LICENSE", "licenses"), ("CHANGELOG.md", "doc"), ("README.md", "doc")):
        to = root / "usr" / "share" / place / NAME / name
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_text(_read(ROOT / name), encoding="utf-8")
    spec = folder / f"{NAME}.spec"
    template = (ROOT / "deploy" / "packages" / f"{NAME}.spec").read_text(encoding="utf-8")
    spec.write_text(_stamped(template), encoding="utf-8")
    _run(
        "rpmbuild", "-bb", "--quiet", "--target", machine, "--define", f"_topdir {folder}/top", "--define",
        f"root {root}", "--define", "use_source_date_epoch_as_buildtime 1", "--define",
        "clamp_mtime_to_source_date_epoch 1", "--define", "_buildhost reproducible", str(spec), cwd=folder,
    )  # fmt: skip
    (made,) = (folder / "top" / "RPMS").glob(f"{machine}/{NAME}-{__version__}-*.rpm")
    return _kept(made)


def _python(kind: str, name: str) -> Path:
    _run(sys.executable, "-m", "build", f"--{kind}", "--outdir", str(DIST), str(ROOT), cwd=ROOT)
    return DIST / name


def _lay_out(root: Path, architecture: str, *, settings: str, zsh: str, units: str) -> None:
    """Every file where it will lie on the machine, below ``root``; what differs between distributions is named."""
    shutil.rmtree(root, ignore_errors=True)
    tree.make(root / "usr" / "lib" / NAME, WHEELS, architecture)
    command_line.write(BUILD / "text")
    here, text = ROOT / "deploy" / "packages", BUILD / "text"
    sysusers = ROOT / "deploy" / "systemd" / f"{NAME}.sysusers.conf"
    values = (ROOT / "deploy" / "systemd" / f"{NAME}.default").read_text(encoding="utf-8")
    files = {
        f"usr/bin/{NAME}": (here / NAME).read_text(encoding="utf-8"),
        f"{units}/{NAME}.service": unit(settings),
        f"usr/lib/sysusers.d/{NAME}.conf": _read(sysusers),
        f"{settings}/{NAME}": values.replace("/etc/default", f"/{settings}"),
        f"usr/share/bash-completion/completions/{NAME}": _read(text / "completions" / "bash" / NAME),
        f"{zsh}/_{NAME}": _read(text / "completions" / "zsh" / f"_{NAME}"),
        f"usr/share/fish/vendor_completions.d/{NAME}.fish": _read(
            text / "completions" / "fish" / f"{NAME}.fish"
        ),
    }
    systemd, examples = ROOT / "deploy" / "systemd", f"usr/share/doc/{NAME}/examples"
    for name in (f"{NAME}.service.d/ha.conf", f"{NAME}-textfile.service", f"{NAME}-textfile.timer"):
        files[f"{examples}/{Path(name).name}"] = _read(systemd / name).replace(
            f"/opt/{NAME}/bin/{NAME}", f"/usr/bin/{NAME}"
        )
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    page = root / "usr" / "share" / "man" / "man1" / f"{NAME}.1.gz"
    page.parent.mkdir(parents=True)
    page.write_bytes(gzip.compress((text / "man" / f"{NAME}.1").read_bytes(), mtime=0))
    tree.settle(root)
    (root / "usr" / "bin" / NAME).chmod(0o755)


def unit(settings: str) -> str:
    """The unit as packages install it: with a lasting user, whose group may ask on the socket.

    systemd keeps the folder of a passing user (``DynamicUser=``) to root alone.
    """
    text = _read(ROOT / "deploy" / "systemd" / f"{NAME}.service")
    for before, after in (
        (f"/opt/{NAME}/bin/{NAME}", f"/usr/bin/{NAME}"),
        ("/etc/default", f"/{settings}"),
        (f"/etc/systemd/system/{NAME}.service", f"/usr/lib/systemd/system/{NAME}.service"),
        ("DynamicUser=yes\n", f"User={NAME}\n"),
    ):
        if before not in text:
            raise SystemExit(f"the unit has no {before!r} any more")
        text = text.replace(before, after)
    return text


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _stamped(text: str) -> str:
    """A template with version and date."""
    when = tree.epoch()
    date = subprocess.run(
        ["date", "--utc", f"--date=@{when}", "+%a, %d %b %Y %H:%M:%S +0000|%a %b %d %Y"],
        capture_output=True, text=True, check=True, env={**os.environ, "LC_ALL": "C"},
    ).stdout.strip()  # fmt: skip
    debian, fedora = date.split("|")
    return (
        text.replace("@VERSION@", __version__)
        .replace("@DEBIAN_DATE@", debian)
        .replace("@RPM_DATE@", fedora)
        .replace("@COMPILE@", _read(ROOT / "deploy" / "packages" / "compile.sh").rstrip())
    )


def _run(*argv: str, cwd: Path) -> None:
    if shutil.which(argv[0]) is None:
        tools = "debhelper" if argv[0].startswith("dpkg") else "rpm"
        raise SystemExit(f"{argv[0]} is missing: apt-get install {tools}")
    done = subprocess.run(
        argv, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{done.stdout}\n{argv[0]} ended with status {done.returncode}")


def _kept(made: Path) -> Path:
    return Path(shutil.copy2(made, DIST))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
