"""The sandbox that chat templates run in."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest

from wit_llm.errors import InvalidArgument, InvalidEncoding, TooLarge
from wit_llm.text.template import CHARACTERS, STEPS, Template

MESSAGES = [{"role": "user", "content": "hello " * 100}]
DOUBLING = (
    "{%% set it = namespace(s='xxxxxxxxxx') %%}{%% for i in range(60) %%}{%% set it.s = it.s %s it.s %%}{%% endfor %%}"
)
TWICE = "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}"
OVER_STEPS = f"the chat template takes more than {STEPS} steps for these messages"
OVER_CHARACTERS = f"the chat template makes more than {CHARACTERS} characters of these messages"
OVER_SIZE = f"the chat template makes a value of more than {CHARACTERS} elements of these messages"


def _render(source: str) -> str:
    return Template(source, {"bos_token": "<s>"}).render(MESSAGES, opened=True)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        pytest.param(
            "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}", OVER_STEPS, id="loops"
        ),
        pytest.param(
            "{% for a in messages[0].content %}" * 5 + "x" + "{% endfor %}" * 5, OVER_STEPS, id="loops-over-text"
        ),
        pytest.param(TWICE, OVER_STEPS, id="calls"),
        pytest.param("{{ 'x' * 10 ** 10 }}", OVER_SIZE, id="repeated-text"),
        pytest.param("{{ 10 ** 10 * 'x' }}", OVER_SIZE, id="repeated-by-the-left"),
        pytest.param("{% set x = [1] * 10 ** 10 %}", OVER_SIZE, id="repeated-list"),
        pytest.param("{{ 10 ** 2000 }}", OVER_SIZE, id="large-power"),
        pytest.param("{{ (2 ** 4000) * (2 ** 4000) }}", OVER_SIZE, id="large-product"),
        pytest.param(DOUBLING % "+", OVER_SIZE, id="doubled-by-plus"),
        pytest.param(DOUBLING % "~", OVER_SIZE, id="doubled-by-tilde"),
        pytest.param(
            "{% for i in range(999) %}{{ messages[0].content * 100 }}{% endfor %}", OVER_CHARACTERS, id="output"
        ),
        pytest.param(
            "{% set x %}{% for i in range(999) %}{{ messages[0].content * 100 }}{% endfor %}{% endset %}",
            OVER_CHARACTERS,
            id="captured-output",
        ),
    ],
)
def test_a_template_without_measure_is_stopped(source: str, message: str) -> None:
    """Time and memory that grow without end get a typed error, soon."""
    before = time.perf_counter()
    with pytest.raises(TooLarge) as caught:
        _render(source)
    assert str(caught.value) == message
    assert time.perf_counter() - before < 10


@pytest.mark.parametrize(
    ("source", "message"),
    [
        pytest.param("{{ raise_exception('roles must alternate') }}", "roles must alternate", id="its-own-words"),
        pytest.param("{{ messages[9].content.x }}", "list object has no element 9", id="undefined"),
        pytest.param("{{ 1 / 0 }}", "division by zero", id="arithmetic"),
        pytest.param("{% for i in 5 %}{% endfor %}", "'int' object is not iterable", id="type"),
        pytest.param(
            "{{ ''.__class__.__mro__ }}", "access to attribute '__class__' of 'str' object is unsafe.", id="class"
        ),
        pytest.param(
            "{{ messages.append(1) }}", "access to attribute 'append' of 'list' object is unsafe.", id="append"
        ),
        pytest.param(
            "{{ range(100001) | list }}",
            "Range too big. The sandbox blocks ranges larger than MAX_RANGE (100000).",
            id="range",
        ),
        pytest.param("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "maximum recursion depth exceeded", id="deep"),
        pytest.param("{% include 'secret' %}", "no loader for this environment specified", id="include"),
        pytest.param("{{ raise_exception('x' * 9000) }}", "x" * 500, id="at-length"),
    ],
)
def test_a_refusal_has_the_templates_words(source: str, message: str) -> None:
    """What a template has against the messages is the guest's to know, in the template's words, not in all of them."""
    with pytest.raises(InvalidArgument) as caught:
        _render(source)
    assert str(caught.value).startswith(f"the chat template refuses these messages: {message}")
    assert len(str(caught.value)) < 600


def test_format_strings_reach_no_attributes() -> None:
    """The other way to an object's insides is closed as well."""
    assert _render("[{{ '{0.__class__}'.format(1) }}]") == "[]"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        pytest.param("a\n{% for %}", "line 2: Expected an expression, got 'end of statement block'", id="statement"),
        pytest.param("{{ x | nonesuch }}", "line 1: No filter named 'nonesuch'.", id="filter"),
        pytest.param("{% if x %}", "line 1: Unexpected end of template.", id="unclosed"),
    ],
)
def test_what_is_not_jinja_is_the_folders_fault(source: str, message: str) -> None:
    """A template that does not compile says so when it is made, with the line."""
    with pytest.raises(InvalidEncoding, match=f"^the chat template is not Jinja: {message}"):
        Template(source, {})


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        pytest.param("{{ bos_token }}{{ nothing }}", "<s>", id="undefined-is-nothing"),
        pytest.param("{% for m in messages %}{{ loop.index }}/{{ loop.length }}{% endfor %}", "1/1", id="loop"),
        pytest.param(
            "{% for i in [1, 2, 3] if i != 2 %}{{ i }}{{ loop.last }} {% endfor %}", "1False 3True ", id="filter"
        ),
        pytest.param("{% for k, v in {'a': 1}.items() %}{{ k }}{{ v }}{% endfor %}", "a1", id="pairs"),
        pytest.param("{% for i in [] %}x{% else %}none{% endfor %}", "none", id="else"),
        pytest.param(
            "{% for i in [1, [2, [3]]] recursive %}{{ loop(i) if i is iterable else i }}{% endfor %}",
            "123",
            id="recursive",
        ),
        pytest.param("{{ 1 ~ none ~ 'a' ~ [1] }}", "1Nonea[1]", id="tilde"),
        pytest.param("{{ 'a' * 3 }}{{ 2 ** 10 }}{{ 2 * 0.5 }}{{ [1] + [2] }}", "aaa10241.0[1, 2]", id="operators"),
        pytest.param("{{ '<&>' | tojson }}", '"<&>"', id="json-without-html"),
        pytest.param("{{ {'b': 1, 'a': 'é'} | tojson(indent=1) }}", '{\n "b": 1,\n "a": "é"\n}', id="json-indented"),
        pytest.param("{% if true %}\n  x\n{% endif %}\ny", "  x\ny", id="blocks-leave-no-line"),
        pytest.param("{% generation %}a{% endgeneration %}", "a", id="generation"),
        pytest.param("{{ tools }}{{ documents }}{{ add_generation_prompt }}", "NoneNoneTrue", id="variables"),
    ],
)
def test_renders(source: str, expected: str) -> None:
    """Counting changes nothing of what Jinja does."""
    assert _render(source) == expected


def test_literals_are_the_templates_own_text() -> None:
    """Text and strings of the template, in no two of which a word could be found that is in neither."""
    template = Template("<a>{{ 'b' + messages[0]['role'] }}{# c #}{% if x == '<d>' %}e{% endif %}", {})
    assert sorted(template.literals.split("\0")) == ["<a>", "<d>", "b", "e", "role"]


def test_each_rendering_has_its_own_measure() -> None:
    """Renderings at the same time, and one after the other, do not count against each other."""
    template = Template("{% for i in range(50000) %}{% endfor %}{{ messages[0].content }}", {})
    texts: list[str] = []
    threads = [
        threading.Thread(target=lambda: texts.extend(template.render(MESSAGES, opened=True) for _ in range(4)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert texts == [MESSAGES[0]["content"]] * 16


def test_jinja_is_imported_with_the_first_conversation(environment: dict[str, str]) -> None:
    """Sessions and models are there without it."""
    code = "import sys, wit_llm.text.session; print({'jinja2', 'numpy', 'tokenizers'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
