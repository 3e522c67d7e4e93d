# SPDX-License-Identifier: MIT
"""Compare a restored VM with virtme-ng (from PyPI) on the same kernel, in turn: from spawn to the first command's
output.

Both have the same QEMU, two CPUs and no KVM. `python bench/virtme_ng.py [--runs N]`.

virtme-ng runs on the host's own files, so it needs kmod and busybox-static there, and the kernel's modules in
modprobe's folder; the QEMU is the toolchain's, started on the host by its own dynamic loader.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from r4l.errors import EnvironmentFault
from r4l.kernel import Kernel
from r4l.net import Nic
from r4l.setup import set_up
from r4l.stages import Stages
from r4l.vm import VM

WRAPPER = """\
#!/bin/sh
cd {root}/usr
exec ../lib64/ld-linux-x86-64.so.2 --library-path {root}/usr/lib/x86_64-linux-gnu bin/qemu-system-x86_64 \\
    -L {root}/usr/share/qemu -L {root}/usr/share/seabios -L {root}/usr/lib/ipxe/qemu "$@"
"""


@contextlib.contextmanager
def modules_of(kernel: Kernel) -> Iterator[None]:
    """Provide the kernel's modules under /lib/modules during the context."""
    there = Path("/lib/modules") / kernel.release
    if there.exists():
        yield
        return
    there.parent.mkdir(exist_ok=True)
    there.symlink_to(kernel.modules)
    try:
        yield
    finally:
        there.unlink()


def restored(kernel: Kernel) -> float:
    """Return the seconds to the first command of a restored machine of r4l."""
    begin = time.perf_counter()
    with VM(kernel, nics=[Nic("e1000")], accel="tcg", snapshot=True) as vm:
        vm.run("echo first", check=True)
        return time.perf_counter() - begin


def booted_by_virtme_ng(kernel: Kernel) -> float:
    """Return the seconds to the first command of a machine booted by virtme-ng.

    Raises:
        EnvironmentFault: virtme-ng or its dependencies are not installed, or the machine does not boot.
    """
    missing = [name for name in ("vng", "modprobe", "busybox") if not shutil.which(name)]
    if missing:
        raise EnvironmentFault(
            f"not installed: {', '.join(missing)}", "pip install virtme-ng; apt-get install kmod busybox-static"
        )
    with tempfile.TemporaryDirectory() as folder, modules_of(kernel):
        qemu = Path(folder) / "qemu-system-x86_64"
        qemu.write_text(WRAPPER.format(root=kernel.toolchain.root))
        qemu.chmod(0o755)
        argv = ["vng", "--run", str(kernel.image), "--qemu", str(qemu), "--disable-kvm", "--cpus", "2"]
        argv += ["--memory", "512M", "--verbose", "--exec", "echo first; echo command"]
        begin = time.perf_counter()
        with subprocess.Popen(argv, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if line.strip() == b"first":
                    return time.perf_counter() - begin
    raise EnvironmentFault("virtme-ng did not get as far as its first command", "run it by hand, with --verbose")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    runs: int = parser.parse_args().runs
    with Stages() as stages:
        kernel = set_up(stages)
    restored(kernel)  # the state is there from now on
    pairs = [(booted_by_virtme_ng(kernel), restored(kernel)) for _ in range(runs)]
    ratios = [theirs / ours for theirs, ours in pairs]
    for name, values in (
        ("virtme-ng, s", [a for a, _ in pairs]),
        ("restored, s", [b for _, b in pairs]),
        ("×", ratios),
    ):
        print(f"{name:<14} {statistics.median(values):8.2f} {min(values):8.2f} {max(values):8.2f}  (n={runs})")


if __name__ == "__main__":
    main()
