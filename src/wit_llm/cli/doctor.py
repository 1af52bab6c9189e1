"""``wit-llm doctor``: what is installed, what it can use, and how to mend what is missing."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import click

from wit_llm import __version__
from wit_llm.cli.packaged import GUESTS, PROJECT, wit_folder
from wit_llm.errors import OperatorError, WitLLMError

# backend, target, and whether nothing works without it
PLACES = (("openvino", "cpu", True), ("openvino", "gpu", False), ("pytorch", "cpu", False), ("pytorch", "gpu", False))
DEVELOPERS = "dev"


class Finding(NamedTuple):
    """
    One thing that was looked at.

    Args:
        name: What it is.
        found: Its version, its place or what it did; none where it is missing.
        wanted: Versions that are good enough; empty where there are none.
        needed: Whether nothing works without it.
        mend: The command that puts it right, or what stands in the way; none where it is right.
    """

    name: str
    found: str | None
    wanted: str
    needed: bool
    mend: str | None


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(*, as_json: bool) -> None:
    """
    Check the installation.

    Says what is installed, on which devices each backend loads the embedded model, and the command that mends what is
    missing. Exits with 1 where something that is needed is missing or has the wrong version.

    \b
    Examples:
      wit-llm doctor
      wit-llm doctor --json
    """
    findings = [
        Finding("wit-llm", __version__, "", needed=True, mend=None),
        Finding("python", platform.python_version(), "", needed=True, mend=None),
        *packages(_requirements()),
        *_files(),
        *_places(),
    ]
    broken = [finding for finding in findings if finding.needed and finding.mend]
    if as_json:
        click.echo(json.dumps({"ok": not broken, "findings": [finding._asdict() for finding in findings]}, indent=2))
    else:
        _print(findings)
    sys.exit(1 if broken else 0)


def _print(findings: list[Finding]) -> None:
    from wit_llm.cli.table import print_table

    print_table(
        ("", "found", "wanted", ""),
        [(each.name, each.found or "missing", each.wanted, _verdict(each)) for each in findings],
    )
    for finding in findings:
        if finding.mend:
            click.echo(f"{finding.name}: {finding.mend}")


def _verdict(finding: Finding) -> str:
    if finding.mend is None:
        return "ok"
    return "BAD" if finding.needed else "optional"


def _requirements() -> list[str]:
    """What the package asks for: as it was installed, or as the checkout says from which it runs without that."""
    try:
        return importlib.metadata.requires("wit-llm") or []
    except importlib.metadata.PackageNotFoundError:
        if not PROJECT.is_file():
            raise OperatorError(
                "wit-llm is not installed, and this is no checkout of it: pip install wit-llm"
            ) from None
    project = tomllib.loads(PROJECT.read_text())["project"]
    extras = project["optional-dependencies"].items()
    return [*project["dependencies"], *(f"{each}; extra == '{extra}'" for extra, needs in extras for each in needs)]


# "wasmtime==50.0.1" or "torch==2.13.0; extra == 'pytorch'", as importlib.metadata has them
_REQUIREMENT = re.compile(r"""([\w.-]+)\s*([^;]*?)\s*(?:;.*extra\s*==\s*["'](\w+)["'])?""")


def packages(requirements: Iterable[str]) -> Iterator[Finding]:
    """Each package that ours asks for, but those that only its developers need."""
    for requirement in requirements:
        matched = _REQUIREMENT.fullmatch(requirement)
        if matched is None or matched[3] == DEVELOPERS:
            continue
        name, wanted, extra = matched.groups()
        found = _version(name)
        good = found is not None and meets(found, wanted)
        mend = f"pip install 'wit-llm[{extra}]'" if extra else f"pip install '{name}{wanted}'"
        yield Finding(name, found, wanted, needed=extra is None, mend=None if good else mend)


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def meets(version: str, wanted: str) -> bool:
    """Whether a version keeps to clauses such as ``<2027,>=2026.4``, by its numbers alone."""
    have = _numbers(version)
    for operator, text in re.findall(r"(==|>=|<)([^,]+)", wanted):
        want = _numbers(text)
        if not {"==": have == want, ">=": have >= want, "<": have < want}[operator]:
            return False
    return True


def _numbers(version: str) -> tuple[int, ...]:
    """The release, without a local part, without zeros at its end."""
    numbers = [int(number) for number in re.findall(r"\d+", version.partition("+")[0])]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def _files() -> Iterator[Finding]:
    """What travels inside the package."""
    guests = {f"{name} guest": path for name, path in GUESTS.items()}
    for name, path in {**guests, "WIT": wit_folder() / "nn.wit"}.items():
        mend = None if path.is_file() else "pip install --force-reinstall --no-deps wit-llm"
        yield Finding(name, str(path) if path.is_file() else None, "", needed=True, mend=mend)


def _places() -> Iterator[Finding]:
    """Each backend that is installed, on each target, tried with the embedded model."""
    installed = [place for place in PLACES if place[0] != "pytorch" or _version("torch")]
    with ThreadPoolExecutor(len(installed)) as pool:
        yield from pool.map(lambda place: _tried(*place), installed)


def _tried(backend: str, target: str, needed: bool) -> Finding:  # noqa: FBT001 -- a row of PLACES
    from wit_llm.events import Event, GraphLoaded
    from wit_llm.limits import Limits
    from wit_llm.registry import Grant, Registry

    loaded: list[Event] = []
    registry = Registry([Grant.parse(f"tiny,backend={backend},target={target}")], Limits(), loaded.append)
    try:
        registry.load("tiny")
    except WitLLMError as exc:
        return Finding(f"{backend} on {target}", None, "", needed, str(exc.__cause__ or exc))
    finally:
        registry.close()
    load_ms = next(event.load_ms for event in loaded if isinstance(event, GraphLoaded))
    return Finding(f"{backend} on {target}", f"loads tiny in {load_ms:.0f} ms", "", needed, None)
