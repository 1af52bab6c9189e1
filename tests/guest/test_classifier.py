"""The classifier example, built as its README says, against each library called directly."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture import ROOT
from tests.conftest import CACHE
from tests.guest.driver.build import component
from wit_llm import Host

EXAMPLE = ROOT / "examples" / "classifier"
BACKENDS = ("openvino", "pytorch")

# The picture made a tensor by other means than the guest's, and the whole answer of the library.
DIRECTLY = """
import json, os, sys, warnings
import numpy as np
folder, library = sys.argv[1:]
pixels = np.frombuffer(open(f"{folder}/picture.ppm", "rb").read()[-224 * 224 * 3 :], np.uint8).reshape(224, 224, 3)
image = (pixels / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
image = np.ascontiguousarray(image.transpose(2, 0, 1)[None], np.float32)
if library == "openvino":
    import openvino as ov
    exact = {"INFERENCE_PRECISION_HINT": "f32"}
    answer = ov.Core().compile_model(f"{folder}/openvino/model.xml", "CPU", exact)([image])[0]
else:
    import torch
    warnings.simplefilter("ignore")
    network = torch.export.load(f"{folder}/pytorch/model.pt2").module()
    answer = network(torch.from_numpy(image))["probabilities"].detach()
print(json.dumps(np.asarray(answer)[0].tolist()))
"""

pytestmark = pytest.mark.slow


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


@pytest.fixture(scope="module")
def networks() -> Path:
    """The networks and the picture, made once for each state of what makes them."""
    folder = CACHE / "classifier" / _digest(EXAMPLE / "make_network.py")
    if not (folder / "picture.ppm").exists():
        subprocess.run([sys.executable, str(EXAMPLE / "make_network.py"), str(folder)], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def classifier() -> Path:
    """The component."""
    wit = EXAMPLE / "classifier.wit"
    return component(
        CACHE / "classifier" / _digest(wit), EXAMPLE / "app.py", "wit-llm:classifier/classifier", ["-d", str(wit)]
    )


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_label_is_the_library_s(classifier: Path, networks: Path, backend: str) -> None:
    """The guest's five likeliest classes, with their probabilities, are those of the library on the same picture."""
    command = [sys.executable, "-c", DIRECTLY, str(networks), backend]
    answer = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    best = sorted(((probability, number) for number, probability in enumerate(answer)), reverse=True)[:5]
    with Host([f"net={networks / backend}"], cache_dir=CACHE / "wit-llm") as host:
        outcome = host.run(classifier, ["net"], stdin=(networks / "picture.ppm").read_bytes())
    assert outcome.exit_code == 0, outcome.stderr.decode()
    printed = [line.split(" class ") for line in outcome.stdout.decode().splitlines()]
    assert [int(number) for _, number in printed] == [number for _, number in best]
    assert [float(probability) for probability, _ in printed] == pytest.approx([p for p, _ in best], abs=2e-3)
    assert best[0][0] > 1.2 * best[1][0], "the first is too close to the second for a test"


def test_both_backends_say_what_the_readme_shows(classifier: Path, networks: Path) -> None:
    """One component, either backend, the same words."""
    shown = (EXAMPLE / "README.md").read_text().partition("```text\n")[2].partition("```")[0]
    graphs = [f"{backend}={networks / backend}" for backend in BACKENDS]
    with Host(graphs, cache_dir=CACHE / "wit-llm") as host:
        for backend in BACKENDS:
            outcome = host.run(classifier, [backend], stdin=(networks / "picture.ppm").read_bytes())
            classes = [line.partition(" ")[2] for line in outcome.stdout.decode().splitlines()]
            assert classes == [line.partition(" ")[2] for line in shown.splitlines()]


def test_what_is_no_picture_is_one_line(classifier: Path, networks: Path) -> None:
    """The guest says what it wants and what it got, and ends with 1."""
    with Host([f"net={networks / 'openvino'}"], cache_dir=CACHE / "wit-llm") as host:
        outcome = host.run(classifier, ["net"], stdin=b"GIF89a")
        assert (outcome.exit_code, outcome.stdout) == (1, b"")
        assert outcome.stderr.decode().splitlines()[0] == (
            "error: wanted is a PPM picture (P6) of 224 by 224 pixels, got 6 bytes: b'GIF89a'"
        )
        unknown = host.run(classifier, ["kitten"], stdin=(networks / "picture.ppm").read_bytes())
    assert unknown.exit_code == 1
    assert unknown.stderr.decode().startswith("error: no graph 'kitten' is granted; granted: net\n")
