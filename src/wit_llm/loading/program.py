"""
A ``torch.export`` archive of a guest's, checked and written anew before PyTorch sees it.

PyTorch runs what such an archive names: any function that can be reached from ``torch`` as an operator of the graph,
Python in expressions of sizes and in guards, pickles. So an archive is taken apart here, each text in it is compared
with what it may be, and a new archive is made of what is left: operators of ATen on tensors, and plain numbers.

Source: ``torch/_export/serde`` and ``torch/export/pt2_archive`` of torch 2.13.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from typing import TYPE_CHECKING

import msgspec

from wit_llm.errors import InvalidEncoding

if TYPE_CHECKING:
    from collections.abc import Callable

_MODEL = "models/model.json"
_PAYLOADS = (  # configuration, folder, and how the names of its files begin that are tensors
    ("data/weights/model_weights_config.json", "data/weights/", "weight_"),
    ("data/constants/model_constants_config.json", "data/constants/", "tensor_"),
)
_PLAIN = ("archive_format", "archive_version", "byteorder")
# Pickles: the traced inputs, which nothing needs.
_SAMPLE_INPUTS = "data/sample_inputs/model.pt"

_WORD = re.compile(r"\w*", re.ASCII)
_DOTTED = re.compile(r"[\w.+]*", re.ASCII)
_TEXT = re.compile(r"[ -~]*")

# ATen itself reads and writes files by these.
_FILE_OPERATORS = frozenset({"from_file", "load", "save"})
_INNER_OPERATORS = frozenset(
    {
        "_adaptive_avg_pool2d", "_assert_async", "_assert_scalar", "_assert_tensor_metadata", "_log_softmax",
        "_native_batch_norm_legit", "_native_batch_norm_legit_no_training", "_safe_softmax", "_softmax", "_to_copy",
        "_unsafe_view",
    }
)  # fmt: skip
_OPERATOR = re.compile(r"torch\.ops\.aten\.([a-z_]\w*)\.[A-Za-z]\w*", re.ASCII)
_NUMBER_OPERATOR = re.compile(
    r"_operator\.(add|and_|eq|floordiv|ge|getitem|gt|le|lt|mod|mul|ne|neg|or_|pos|sub|truediv)"
    r"|torch\.sym_(float|int|ite|max|min|not)"
    r"|math\.(ceil|floor|trunc)"
)
_SYMBOL = re.compile(r"Symbol\('(s|u|zf|zuf)\d+'(, (integer|nonnegative|positive|real)=True)*\)", re.ASCII)
_EXPRESSION = re.compile(
    r"([\d,() -]|s|true|false|(Add|And|CeilDiv|CleanDiv|Equality|FloorDiv|GreaterThan|Integer|LessThan|Max|Min|Mod"
    r"|Mul|Not|Or|Pow|PowByNatural|PythonMod|Rational|StrictGreaterThan|StrictLessThan|Unequality)\()*",
    re.ASCII,
)
_SIZE = re.compile(r"L(\['\w+'\]|\[\d+\])+(\.(size|stride)\(\)\[\d+\]|\.(dim|numel|storage_offset)\(\))", re.ASCII)
_GUARD = re.compile(r"([\d(), +*/%<>=!-]|s|and|or|not|max\(|min\()*", re.ASCII)
_FLOAT = re.compile(r"-?Infinity|NaN")
_CONTAINERS = (None, "builtins.tuple", "builtins.list", "builtins.dict")
_REFUSED = frozenset({"as_custom_obj", "as_graph", "as_operator", "class_fqn", "custom_obj"})


class _Payload(msgspec.Struct):
    """A tensor of the archive, and the file with its bytes."""

    path_name: str
    use_pickle: bool = False


class _Payloads(msgspec.Struct):
    """Tensors by their names."""

    config: dict[str, _Payload]


class _Tree(msgspec.Struct, forbid_unknown_fields=True):
    """How arguments are packed: a container and what is in it, or a leaf."""

    type: str | None
    context: str | None
    children_spec: list[_Tree]

    def plain(self) -> bool:
        """Whether there are only tuples, lists, and dicts whose keys are words."""
        keys = json.loads(self.context) if self.context is not None else None
        named = keys is None or (isinstance(keys, list) and all(isinstance(key, str) and _is_word(key) for key in keys))
        return named and self.type in _CONTAINERS and all(child.plain() for child in self.children_spec)


def rewritten(archive: bytes) -> bytes:
    """
    The archive with what PyTorch needs to compute it, and nothing else.

    Raises:
        InvalidEncoding: It is no archive of one program, or holds what is more than operators on tensors.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as source:
            return _rewritten(source)
    except InvalidEncoding:
        raise
    except RecursionError:
        raise InvalidEncoding("the archive's model is nested too deep") from None
    except Exception as exc:  # zipfile raises what it likes over junk
        raise InvalidEncoding(f"the builder is no whole archive of torch.export.save: {exc}") from exc


def _rewritten(source: zipfile.ZipFile) -> bytes:
    members = {info.filename.partition("/")[2]: info for info in source.infolist()}
    if _MODEL not in members:
        if any(name.endswith("constants.pkl") for name in members):
            raise InvalidEncoding("the archive is TorchScript, which is code; make one with torch.export.save")
        raise InvalidEncoding(f"the archive has no {_MODEL}; make one with torch.export.save")
    if any(info.compress_type != zipfile.ZIP_STORED for info in members.values()):
        raise InvalidEncoding("the archive is compressed; torch.export.save does not do that")

    def read(name: str) -> bytes:
        if name not in members:
            raise InvalidEncoding(f"the archive has no {name}")
        return source.read(members[name])

    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as out:

        def write(name: str, content: bytes) -> None:
            out.writestr(zipfile.ZipInfo(f"model/{name}"), content)

        for name in _PLAIN:
            write(name, read(name))
        write(".data/version", read(".data/version"))
        write(_MODEL, json.dumps(_checked(json.loads(read(_MODEL)), "")).encode())
        write(_SAMPLE_INPUTS, b"")
        for config, folder, prefix in _PAYLOADS:
            content = _checked(json.loads(read(config)), "")
            write(config, json.dumps(content).encode())
            for file in _tensor_files(msgspec.convert(content, _Payloads), prefix):
                write(folder + file, read(folder + file))
    return target.getvalue()


def _tensor_files(payloads: _Payloads, prefix: str) -> list[str]:
    """The files of plain tensors; tensors may share one."""
    for payload in payloads.config.values():
        if payload.use_pickle or not payload.path_name.startswith(prefix):
            raise InvalidEncoding(f"the archive's {payload.path_name} is a pickle, which is code; only tensors go")
    return sorted({payload.path_name for payload in payloads.config.values()})


# ---------------------------------------------------------------- what a text may be


def _checked(value: object, key: str) -> object:
    """A value of the archive's JSON under the key that it stands at, without notes of whoever exported it."""
    if isinstance(value, dict):
        for name in value:
            if name in _REFUSED or not _DOTTED.fullmatch(name):
                raise InvalidEncoding(f"the archive holds {_short(name)}, which is more than operators on tensors")
        return {name: {} if name == "metadata" else _checked(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [_checked(item, key) for item in value]
    if isinstance(value, str) and not _TEXTS.get(key, _is_word)(value):
        raise InvalidEncoding(f"the archive holds the {key or 'text'} {_short(value)}, which is refused")
    return value


def _is_word(text: str) -> bool:
    return _WORD.fullmatch(text) is not None


def _is_dotted(text: str) -> bool:
    return _DOTTED.fullmatch(text) is not None


def _is_text(text: str) -> bool:
    return _TEXT.fullmatch(text) is not None


def _is_float(text: str) -> bool:
    """Whether it is a number that JSON has not."""
    return _FLOAT.fullmatch(text) is not None


def _is_operator(text: str) -> bool:
    if _NUMBER_OPERATOR.fullmatch(text):
        return True
    aten = _OPERATOR.fullmatch(text)
    if aten is None:
        return False
    name = aten.group(1)
    return name in _INNER_OPERATORS if name.startswith("_") else name not in _FILE_OPERATORS


def _is_expression(text: str) -> bool:
    return _EXPRESSION.fullmatch(_SYMBOL.sub("s", text)) is not None


def _is_guard(text: str) -> bool:
    return _GUARD.fullmatch(_SIZE.sub("s", text)) is not None


def _is_tree(text: str) -> bool:
    version, tree = json.loads(text)
    return version == 1 and msgspec.convert(tree, _Tree).plain()


_TEXTS: dict[str, Callable[[str], bool]] = {
    "target": _is_operator,
    "expr_str": _is_expression,
    "guards_code": _is_guard,
    "in_spec": _is_tree,
    "out_spec": _is_tree,
    "as_float": _is_float,
    "as_floats": _is_float,
    "as_string": _is_text,
    "as_strings": _is_text,
    "fqn": _is_dotted,
    "parameter_name": _is_dotted,
    "buffer_name": _is_dotted,
    "tensor_constant_name": _is_dotted,
    "torch_version": _is_dotted,
}


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:80]}…")  # noqa: PLR2004 -- as much as a message can bear
