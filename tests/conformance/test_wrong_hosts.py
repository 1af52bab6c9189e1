"""Every case of the guests can fail: hosts that are wrong in one way, and the cases that say so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.conformance import wrong
from tests.conformance.wrong import COMPUTE, Functions
from tests.conformance.wrong_host import WrongHost
from wit_llm.conformance.driver import list_cases, run_cases
from wit_llm.conformance.suite import BACKENDS, IN_C, Result, wanted

OPENVINO = BACKENDS["openvino"]
DATA = "[method]tensor.data"
ASK = "[method]session.ask"


@dataclass(frozen=True)
class Wrong:
    """A wrong host, and the cases that fail on it; of `asked` all others pass or are not run."""

    functions: Functions
    fails: str
    asked: str = ""


IDENTITIES = "E.identity-fp16 E.identity-fp32 E.identity-bf16 E.identity-u8 E.identity-i32 E.identity-i64"
SAME = "B.rank-0 B.rank-1 B.rank-8 B.rank-17 B.zero-sized"
FLOATS = "B.fp16 B.fp32 B.fp64 B.bf16"
INTEGERS = "B.u8 B.i32 B.i64"
BY_NAME = "D.name-unknown D.name-empty D.name-parent D.name-absolute D.name-long D.name-nul D.name-case D.name-blank"
CODED = (
    "B.overflow B.too-short B.too-long C.invalid-argument C.runtime-error E.name-unknown E.name-missing E.name-twice "
    "E.name-empty E.empty-list E.wrong-rank E.wrong-dimension E.wrong-type G.inputs G.rank"
)
REFUSALS = f"{CODED} C.outlives-graph E.thousand-failures E.two-contexts E.failure-then-success"
LOADS = "G.graph-bytes D.load-other-encoding D.load-builders D.load-empty D.load-junk D.load-truncated"
TARGETS = "D.load D.load-autodetect D.load-target-cpu D.load-target-gpu D.load-target-tpu"

WRONG = {
    "data-has-a-byte-more": Wrong({DATA: wrong.one_byte_more}, f"{SAME} {FLOATS} {INTEGERS} B.too-short"),
    "nans-are-quieted": Wrong({DATA: wrong.quiet_nans}, FLOATS, INTEGERS),
    "bytes-are-signed": Wrong({DATA: wrong.saturated}, f"{INTEGERS} B.rank-8", "B.rank-0 B.zero-sized"),
    "dimensions-are-cut": Wrong({"[method]tensor.dimensions": wrong.at_most_16}, "B.rank-17", "B.rank-8"),
    "short-data-is-padded": Wrong({"[constructor]tensor": wrong.padded}, "B.too-short E.failure-then-success", "E.add"),
    "long-data-is-cut": Wrong({"[constructor]tensor": wrong.cut}, "B.too-long", "B.too-short E.add"),
    "products-wrap": Wrong({COMPUTE: wrong.wrapped}, "B.overflow", "B.too-short"),
    "nothing-is-refused": Wrong({COMPUTE: wrong.never_refused}, REFUSALS, "E.add C.not-found"),
    "types-are-cast": Wrong(
        {COMPUTE: wrong.as_bytes}, "E.wrong-rank E.wrong-dimension E.wrong-type", "E.add E.name-missing"
    ),
    "outputs-are-swapped": Wrong({COMPUTE: wrong.swapped}, "E.two-in-two-out E.any-order", "E.add"),
    "inputs-count-by-place": Wrong({COMPUTE: wrong.by_place}, "E.any-order", "E.two-in-two-out E.add"),
    "outputs-are-numbered": Wrong(
        {COMPUTE: wrong.numbered},
        f"{IDENTITIES} C.runtime-error D.graph-dropped-first E.add E.two-in-two-out E.any-order E.dynamic E.zero-sized "
        "E.text E.thousand E.outputs-outlive G.handles G.tensor-bytes G.output-bytes G.inputs G.rank I.numbers",
        "E.identity-fp64",
    ),
    "unknown-names-are-left-out": Wrong(
        {COMPUTE: wrong.known_names}, "E.name-unknown E.name-twice", "E.add E.name-missing"
    ),
    "missing-inputs-are-remembered": Wrong(
        wrong.remembering(), "E.name-missing E.empty-list E.two-contexts", "E.add E.name-unknown"
    ),
    "i64-is-cut": Wrong({COMPUTE: wrong.narrow}, "E.wide-i64", "E.identity-i64"),
    "answers-are-stale": Wrong(wrong.stale(), "E.thousand", "E.add"),
    "numbers-are-off": Wrong({COMPUTE: wrong.off}, "I.numbers E.add E.dynamic", "E.identity-u8"),
    "contexts-die-with-graphs": Wrong({COMPUTE: wrong.dies_with_its_graph}, "D.graph-dropped-first", "E.add"),
    "outputs-die-with-contexts": Wrong({DATA: wrong.data_dies_with_context}, "E.outputs-outlive", "E.add"),
    "contexts-die-of-a-refusal": Wrong(
        wrong.dead_after_failure(), "E.failure-then-success E.two-contexts C.runtime-error", "E.add E.name-twice"
    ),
    "codes-are-unknown": Wrong(
        {"[method]error.code": wrong.wrong_code},
        f"{CODED} {BY_NAME} C.not-found C.unsupported-operation C.invalid-encoding C.security C.ten-thousand "
        "D.name-ungranted E.identity-fp64 E.wide-i64 G.handles G.tensor-bytes G.output-bytes",
        "E.add",
    ),
    "errors-are-wordless": Wrong({"[method]error.data": wrong.wordless}, "C.not-found E.name-twice C.security"),
    "errors-show-paths": Wrong({"[method]error.data": wrong.talkative}, "C.invalid-argument C.not-found", "E.add"),
    "words-die-with-graphs": Wrong(
        {"[method]error.data": wrong.words_die_with_graph}, "C.outlives-graph", "E.name-twice"
    ),
    "errors-leak": Wrong({"[method]error.code": wrong.leaking}, "C.ten-thousand E.thousand-failures", "E.name-twice"),
    "any-name-is-a-graph": Wrong(
        {"load-by-name": wrong.any_name}, f"{BY_NAME} C.not-found C.ten-thousand", "D.name-ungranted"
    ),
    "ungranted-is-told": Wrong({"load-by-name": wrong.tells_what_there_is}, "D.name-ungranted", "D.name-unknown"),
    "no-type-is-unsupported": Wrong(
        {"load-by-name": wrong.no_types}, "C.unsupported-operation E.identity-fp64", "E.add"
    ),
    "any-bytes-are-a-graph": Wrong(wrong.always("numbers"), f"{LOADS} C.security C.invalid-encoding", TARGETS),
    "bytes-are-another-graph": Wrong(wrong.always("add"), f"{LOADS} {TARGETS}"),
    "loads-run-out": Wrong(wrong.runs_out(), "G.graphs", "D.load-target-cpu"),
    "tensors-can-be-prompted": Wrong({"[static]session.open": wrong.any_graph}, "J.not-promptable", "J.history"),
    "empty-prompts-break": Wrong({ASK: wrong.no_empty}, "J.empty-prompt", "J.history"),
    "prompts-are-cut": Wrong({ASK: wrong.short_prompts}, "J.overflow", "J.history"),
    "sessions-run-out": Wrong(wrong.sessions_run_out(), "J.sessions", "J.not-promptable J.overflow"),
    "long-prompts-break": Wrong({ASK: wrong.no_long_prompts}, "J.prompt-bytes", "J.overflow"),
    "options-are-ignored": Wrong({ASK: wrong.default_options}, "J.max-tokens J.stop", "J.history"),
    "replies-differ": Wrong(wrong.moody(), "J.greedy J.drop-frees", "J.characters"),
    "history-is-lost": Wrong({ASK: wrong.forgetful}, "J.history", "J.greedy"),
    "control-text-counts": Wrong({"[method]session.measure": wrong.honours_control_text}, "J.control-text", "J.greedy"),
    "characters-are-split": Wrong({"[method]generation.next-text": wrong.only_ascii}, "J.characters", "J.greedy"),
    "dropped-turns-stay": Wrong({"[method]session.mark": wrong.keeps_dropped}, "J.drop-frees", "J.greedy"),
    "logits-differ": Wrong({COMPUTE: wrong.turned_round}, "J.same-door J.same-logits", "J.greedy"),
    "logits-are-shifted": Wrong({COMPUTE: wrong.shifted}, "J.same-logits", "J.same-door J.over-tensors"),
    "penalties-are-ignored": Wrong({ASK: wrong.no_penalties}, "J.same-logits", "J.same-door"),
    "tensors-are-answered-otherwise": Wrong({COMPUTE: wrong.other_words}, "J.over-tensors", "J.same-door"),
}


@pytest.fixture(scope="module")
def tensors() -> Iterator[WrongHost]:
    """Graphs of tensors."""
    host = WrongHost(OPENVINO.graphs)
    yield host
    host.close()


@pytest.fixture(scope="module")
def prompts() -> Iterator[WrongHost]:
    """Graphs of which one can be prompted."""
    host = WrongHost(OPENVINO.prompt_graphs)
    yield host
    host.close()


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_host_fails(tensors: WrongHost, prompts: WrongHost, name: str) -> None:
    """A host that is wrong in one way fails the cases about that, and no others."""
    expected = WRONG[name]
    asked = f"{expected.fails} {expected.asked}".split()
    host, guest = (prompts, IN_C.prompt) if asked[0].startswith("J") else (tensors, IN_C.nn)
    sandbox = host.sandbox(expected.functions)
    cases = [case for case in list_cases(sandbox, guest) if wanted(case.name, asked)]
    assert len(cases) == len(asked)
    failed = {
        case.name: finding.seen
        for case, finding in run_cases(sandbox, guest, OPENVINO, cases)
        if finding.result is Result.FAILED
    }
    assert sorted(failed) == sorted(expected.fails.split()), failed


def test_every_case_of_the_guests_fails_on_some_host(tensors: WrongHost, prompts: WrongHost) -> None:
    """No case passes whatever the host does."""
    listed = [*list_cases(tensors.sandbox({}), IN_C.nn), *list_cases(prompts.sandbox({}), IN_C.prompt)]
    can_fail = {name for expected in WRONG.values() for name in expected.fails.split()}
    assert can_fail == {case.name for case in listed}
