"""One graph, one door: prompts and hand-made tensors meet the same model through the same lock."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import wit_llm
from tests.conftest import Driver
from wit_llm.events import Event, TensorsAdmitted

LINES = Path(wit_llm.__file__).parent / "embedded" / "tiny" / "lines.json"
BACKENDS = ["openvino", pytest.param("pytorch", marks=pytest.mark.slow)]


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_model_answers_all_its_turns_exactly(driver: Driver, backend: str) -> None:
    """Every conversation of the embedded model, with its history, greedy, through the guest's door."""
    conversations = json.loads(LINES.read_text())
    outcome = driver.run(
        """
        loaded = graph.load_by_name("tiny")
        for conversation in json.load(sys.stdin):
            with session(loaded) as talk:
                say(json.dumps([talk.ask(types.Turn_Say(question), greedy()).text for question, _ in conversation]))
        """,
        graphs=[f"tiny,backend={backend}"],
        stdin=json.dumps(conversations).encode(),
    )
    replies = [json.loads(line) for line in outcome.stdout.decode().splitlines()]
    assert replies == [[answer for _, answer in conversation] for conversation in conversations]
    assert sum(map(len, replies)) == 165


@pytest.mark.parametrize("backend", BACKENDS)
def test_greedy_decoding_by_hand_yields_the_tokens_of_the_prompt(driver: Driver, backend: str) -> None:
    """A guest that computes logits and takes the best token, again and again, gets what ``prompt`` gives."""
    seen: list[Event] = []
    outcome = driver.run(
        """
        loaded = graph.load_by_name("tiny")
        context = loaded.init_execution_context()
        wants_positions = sys.argv[1] == "openvino"

        def row(values):
            return tensor.Tensor([1, len(values)], tensor.TensorType.I64, struct.pack(f"<{len(values)}q", *values))

        def best(ids):
            inputs = [("input_ids", row(ids)), ("attention_mask", row([1] * len(ids)))]
            if wants_positions:
                inputs.append(("position_ids", row(range(len(ids)))))
            [(name, logits)] = context.compute(inputs)
            assert name == "logits", name
            _, length, vocabulary = logits.dimensions()
            last = array.array("f", logits.data()[-4 * vocabulary:])
            return last.index(max(last))

        passes = 0
        for question in ("Say hello in Japanese.", "What is 3 plus 4?", "Give me a JSON object."):
            ids = tokenizer.encode(loaded, tokenizer.render(loaded, [message("user", question)], []), True)
            made = []
            while not made or made[-1] != 2:
                made.append(best(ids + made))
            reply = session(loaded).ask(types.Turn_Tokens(ids), greedy())
            say(tokenizer.decode(loaded, made[:-1]) == reply.text, len(made) == reply.summary.usage.generated_tokens)
            say(session(loaded).ask(types.Turn_Say(question), greedy()).text == reply.text, reply.text)
            passes += len(made)
        print(passes, file=sys.stderr)
        """,
        graphs=[f"tiny,backend={backend}"],
        args=[backend],
        sink=seen.append,
    )
    assert outcome.stdout.decode().splitlines() == [
        "True True", "True こんにちは!",
        "True True", "True 3 plus 4 is 7.",
        "True True", 'True {"ok": true, "answer": 42}',
    ]  # fmt: skip
    admitted = [event for event in seen if isinstance(event, TensorsAdmitted)]
    assert {event.graph for event in admitted} == {"tiny"}
    names = ["input_ids", "attention_mask"] + ["position_ids"] * (backend == "openvino")
    assert all([name for name, _ in event.tensors] == names for event in admitted)
    # one admission for each forward pass by hand, and one for each of the six prompts: nothing goes past the lock
    assert len(admitted) == int(outcome.stderr) + 6


def test_prompts_and_tensors_are_admitted_one_for_one(driver: Driver) -> None:
    """Each compute and each prompt is one admission, with the dimensions that it really had."""
    seen: list[Event] = []
    driver.run(
        """
        loaded = graph.load_by_name("echo")
        loaded.init_execution_context().compute([("x", tensor.Tensor([3], tensor.TensorType.U8, b"abc"))])
        session(loaded).ask(types.Turn_Tokens([65, 66]), None)
        session(loaded).ask(types.Turn_Raw("four"), None)
        """,
        graphs=["echo"],
        sink=seen.append,
    )
    assert [event.tensors for event in seen if isinstance(event, TensorsAdmitted)] == [
        (("x", (3,)),),
        (("input_ids", (1, 2)), ("attention_mask", (1, 2))),
        (("input_ids", (1, 4)), ("attention_mask", (1, 4))),
    ]
