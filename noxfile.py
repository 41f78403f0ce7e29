"""The tests under every CPython that ebbmap supports and that is found here: `make test-all`."""

from __future__ import annotations

import nox

nox.options.default_venv_backend = "uv"
nox.options.download_python = "never"
# An interpreter that is not here is named and skipped.
nox.options.error_on_missing_interpreters = False


@nox.session(python=["3.11", "3.12", "3.13", "3.14"])
def tests(session: nox.Session) -> None:
    """Build the native module for one interpreter, in release mode, and run the package's tests under it."""
    session.install("--require-hashes", "-r", "requirements/dev.txt")
    # uv would take a module that it built before, whatever has changed in the Rust sources since.
    build = ["--no-deps", "--no-build-isolation", "--reinstall-package", "ebbmap", "--editable", "."]
    session.install(*build, env={"MATURIN_STRIP": "false"})
    session.run("python", "-m", "pytest", *session.posargs)
