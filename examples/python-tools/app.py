"""A component that answers questions by calling a tool of its own: the model asks, the guest computes."""

from __future__ import annotations

import ast
import json
import operator
import sys

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports import errors, graph, prompt
from wit_world.imports.prompt import OverflowPolicy, Session, Setup
from wit_world.imports.types import (
    Message,
    Part_Call,
    Part_Outcome,
    Role,
    Tool,
    ToolCall,
    ToolResult,
    Turn_Messages,
    Turn_Say,
)

CALCULATE = Tool(
    name="calculate",
    description="Works out a sum.",
    parameters_json_schema=json.dumps(
        {
            "type": "object",
            "properties": {"expression": {"type": "string", "description": "Such as 3 * (4 + 5)"}},
            "required": ["expression"],
        }
    ),
)
OPERATORS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.USub: operator.neg,
}


class Run(exports.Run):
    """What ``wit-llm run tools.wasm GRAPH QUESTION`` starts."""

    def run(self) -> None:
        """Answer one question; a status other than 0 is ``Err(None)``."""
        if len(sys.argv) != 3:  # noqa: PLR2004 -- the program's own name comes first
            print("error: usage: tools GRAPH QUESTION", file=sys.stderr)
            raise Err(None)
        _, name, question = sys.argv
        setup = Setup(preamble=[], defaults=None, on_overflow=OverflowPolicy.FAIL)
        try:
            with graph.load_by_name(name) as model, Session.open(model, setup) as session:
                print(answer(session, question))
        except Err as error:
            value = error.value  # a resource from wasi:nn, a value from wit-llm:nn
            print("error:", value.data() if isinstance(value, errors.Error) else value.value, file=sys.stderr)
            raise Err(None) from None


def answer(session: Session, question: str) -> str:
    """Ask, run what the model calls, and hand it the outcomes, until it answers in words."""
    options = prompt.default_options()
    options.tools = [CALCULATE]
    turn = Turn_Say(question)
    while True:
        reply = session.ask(turn, options)
        calls = [part.value for part in reply.message.parts if isinstance(part, Part_Call)]
        if not calls:
            return reply.text
        turn = Turn_Messages([Message(Role.TOOL, [Part_Outcome(outcome(call)) for call in calls])])


def outcome(call: ToolCall) -> ToolResult:
    """Run a call; what goes wrong is for the model to read."""
    try:
        expression = json.loads(call.arguments_json)["expression"]
        content = str(evaluate(ast.parse(expression, mode="eval").body))
    except Exception as error:  # noqa: BLE001 -- whatever it is
        content, is_error = f"{type(error).__name__}: {error}", True
    else:
        is_error = False
    print(f"{call.name}({call.arguments_json}) = {content}", file=sys.stderr)
    return ToolResult(call.id, content, is_error)


def evaluate(node: ast.expr) -> float:
    """The value of a sum; anything else is refused."""
    match node:
        case ast.Constant(int() | float() as value):
            return value
        case ast.BinOp(left, op, right) if type(op) in OPERATORS:
            return OPERATORS[type(op)](evaluate(left), evaluate(right))
        case ast.UnaryOp(op, operand) if type(op) in OPERATORS:
            return OPERATORS[type(op)](evaluate(operand))
    raise ValueError("a sum has numbers, + - * / and brackets")
