"""Write what helm makes of the chart into helm/*.yaml: ``make chart``."""

from __future__ import annotations

import shutil
import subprocess

from tests.deploy.test_kubernetes import CHART, DEPLOY, RENDERED, digest


def main() -> None:
    helm = shutil.which("helm", path=DEPLOY.parent / ".cache" / "helm") or "helm"
    for name in ("default", "everything"):
        values = RENDERED / f"{name}.values.yaml"
        command = [helm, "template", "vmguest", str(CHART), "--namespace=monitoring", "--kube-version=1.31.0"]
        done = subprocess.run([*command, f"--values={values}"], capture_output=True, text=True, check=True)
        head = (
            f"# What helm makes of deploy/helm/vmguest-exporter with {values.name}; tests/deploy/test_kubernetes.py compares.\n"
            f"# sha256 of the chart: {digest()}\n"
        )
        (RENDERED / f"{name}.yaml").write_text(head + done.stdout, encoding="utf-8")


if __name__ == "__main__":
    main()
