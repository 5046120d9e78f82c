# SPDX-License-Identifier: Apache-2.0
"""Read the call sites of op-plugin's C++: which aclnn function, with which kinds of arguments.

Not a parser of C++, only what its regular style needs: functions at namespace level, their
parameters, and declarations of local variables. What it cannot tell is "?".
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["CallSite", "Source", "kind_of_type", "read_sources", "split_arguments"]

# EXEC_NPU_CMD and its variants; these two have the workspace before the operator's arguments.
CALL = re.compile(r"\bEXEC_(?:NPU_\w*CMD\w*|UPDATE_NPU\w*CMD\w*|GET_MAX_WORKSPACE_CMD)\s*\(")
WITH_WORKSPACE = "EXEC_UPDATE"
PROBE = re.compile(r"\b(?:check_aclnn_kernel_available|GetOpApiFuncAddr)\(\s*\"(aclnn\w+?)\"")
FALLBACK = re.compile(r"\bDO_(?:\w+_)?COMPATIBILITY\w*\s*\(")
FUNCTION = re.compile(r"(\w+)\s*\($")

# C++ types, most specific first.
TYPES = (
    (r"optional<\s*(?:at::)?TensorList|TensorList\b|TensorListWrapper", "tensors"),
    (r"(?:vector|ArrayRef|List)<\s*(?:c10::optional<)?\s*(?:at::)?Tensor\b", "tensors"),
    (r"(?:vector|ArrayRef)<\s*(?:at::)?Scalar\b", "scalars"),
    (
        r"IntArrayRef|ArrayRef<\s*(?:int64_t|c10::SymInt)|SmallVector<\s*int64_t|vector<\s*int64_t",
        "ints",
    ),
    (r"array<\s*int64_t|array<\s*c10::SymInt|SymIntArrayRef|OptionalArrayRef<", "ints"),
    (r"ArrayRef<\s*bool|array<\s*bool", "bools"),
    (r"ArrayRef<\s*(?:float|double)|vector<\s*float", "floats"),
    (r"\bScalarType\b|\baclDataType\b", "int32"),
    (r"\bTensorWrapper\b|\bTensor\b", "tensor"),
    (r"\bScalar\b", "scalar"),
    (r"string|\bchar\s*\*|string_view", "text"),
    (r"\bint64_t\b|\bSymInt\b|\bsize_t\b|\buint64_t\b", "int64"),
    (r"\bint8_t\b", "int8"),
    (r"\bint32_t\b|\bint\b|\buint32_t\b", "int32"),
    (r"\bbool\b", "bool"),
    (r"\bdouble\b", "double"),
    (r"\bfloat\b", "float"),
)

# What an expression gives, by its form.
EXPRESSIONS = (
    (r"^static_cast<([^>]+)>\s*\(", None),
    (r"^(?:at|c10)::(?:Scalar|IntArrayRef|ArrayRef<\w+>|TensorList)\s*[({]", None),
    (r"^const_cast<(char \*|char\*)>", None),
    (r"^(?:true|false)$", "bool"),
    (r"^-?\d+$", "int32"),
    (r"^-?\d*\.\d+(?:e-?\d+)?$|^-?\d+\.$", "double"),
    (r"^-?\d*\.\d+f$", "float"),
    (r'^"', "text"),
    (r"\.item\(\)$", "scalar"),
    (r"\.(?:to|toDouble)<?double>?\(\)$|\.toDouble\(\)$", "double"),
    (r"\.toFloat\(\)$|\.to<float>\(\)$", "float"),
    (r"\.toLong\(\)$|\.(?:size|dim|numel)\(\w*\)$", "int64"),
    (r"\.(?:scalar_type|dtype)\(\)$|^at::k[A-Z]\w+$|ConvertToAclDataType\(", "int32"),
    (r"\.c_str\(\)$|\.data\(\)$", "text"),
    (r"get_cube_math_type\(", "int8"),
    (r"\b(?:apply_tensor\w*|ApplyTensor\w*|at::empty\w*|at::zeros\w*|at::ones\w*|copy_tensor_\w+"
     r"|format_contiguous\w*|npu_dtype_cast\w*|unsqueeze\w*)\(", "tensor"),
    (r"\.(?:contiguous|unsqueeze|squeeze|view|reshape|transpose|permute|to|clone|slice|select|expand"
     r"|flatten|narrow|index|repeat)\([^()]*\)$", "tensor"),
    (r"broadcast_ops_npu_output_size\(|\.sizes\(\)$|get_dimlist_for_tensor\(|array_to_small_vector\(",
     "ints"),
)  # fmt: skip


@dataclass(frozen=True)
class CallSite:
    """One use of an aclnn function: the C++ function around it, and the kinds of its arguments."""

    op: str
    function: str
    kinds: tuple[str, ...]


@dataclass
class Source:
    """What one file of op-plugin says."""

    name: str
    calls: list[CallSite] = field(default_factory=list)
    probed: set[str] = field(default_factory=set)
    fallbacks: dict[str, set[str]] = field(default_factory=dict)  # op -> what is called instead
    functions: dict[str, str] = field(default_factory=dict)  # name -> text


def kind_of_type(text: str) -> str:
    """Return the kind of argument that a C++ type becomes at the C ABI, or "?"."""
    return next((kind for pattern, kind in TYPES if re.search(pattern, text)), "?")


def split_arguments(text: str) -> list[str]:
    """Split at the commas outside of brackets and quotes."""
    parts, depth, quoted, start = [], 0, False, 0
    for index, char in enumerate(text):
        if char == '"' and text[index - 1] != "\\":
            quoted = not quoted
        if quoted:
            continue
        # "<" opens a bracket where a type is meant: after a word, and closed before the next comma.
        if char in "([{" or (char == "<" and re.match(r"[\w:, *]+>", text[index + 1 :])):
            depth += 1
        elif char in ")]}" or (char == ">" and depth and text[index - 1] != "-"):
            depth -= 1
        elif char == "," and depth <= 0:
            parts.append(text[start:index].strip())
            start = index + 1
    return [*parts, text[start:].strip()]


def _without_comments(text: str) -> str:
    text = re.sub(r"//[^\n]*", "", text)
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    return re.sub(
        r"^\s*#(?:.*\\\n)*.*$", "", text, flags=re.MULTILINE
    )  # and the preprocessor's lines


def _closing(text: str, opening: int) -> int:
    """Index of the bracket that closes the one at `opening`."""
    pairs = {"(": ")", "{": "}"}
    close = pairs[text[opening]]
    depth = 0
    for index in range(opening, len(text)):
        if text[index] == text[opening]:
            depth += 1
        elif text[index] == close:
            depth -= 1
            if depth == 0:
                return index
    return len(text)


def _functions(text: str) -> Iterator[tuple[str, int, int]]:
    """Name, start of the parameters, and end of every function at namespace level."""
    position = 0
    while (opening := text.find("{", position)) != -1:
        before = text[position:opening].rstrip()
        if re.search(r"\b(?:namespace(?:\s+[\w:]+)?|extern\s+\"C\")$", before):
            position = opening + 1
            continue
        end = _closing(text, opening)
        head = re.split(r"[;}]", before)[-1]
        if head.endswith((")", "const")) and "(" in head:
            start = opening - (len(text[position:opening]) - text[position:opening].rfind(head))
            parameters = start + head.index("(")
            if name := FUNCTION.search(text[start : parameters + 1]):
                yield name[1], parameters, end
        position = end + 1


def _kind_of(expression: str, scope: str, depth: int = 0) -> str:
    """Kind of an expression, with the text of the function before it as the scope."""
    expression = expression.strip()
    if depth > 6:
        return "?"
    for pattern, kind in EXPRESSIONS:
        if match := re.search(pattern, expression):
            return kind or kind_of_type(match[1] if match.groups() else match[0])
    if inner := re.fullmatch(r"std::get<\d+>\((.*)\)|\((.*)\)", expression):
        return _kind_of(inner[1] or inner[2], scope, depth + 1)
    if " ? " in expression and (branches := re.split(r" \? | : ", expression))[1:]:
        kinds = {_kind_of(branch, scope, depth + 1) for branch in branches[1:]} - {"?"}
        return kinds.pop() if len(kinds) == 1 else "?"
    if method := re.fullmatch(r"(\w+)(?:\.value(?:_or)?\(.*\)|\.val|\[.*\])", expression):
        kind = _kind_of(method[1], scope, depth + 1)
        element = {"tensors": "tensor", "ints": "int64", "scalars": "scalar"}
        return element.get(kind, kind) if expression.endswith("]") else kind
    if not re.fullmatch(r"\w+", expression):
        return "?"
    return _declared(expression, scope, depth)


def _declared(name: str, scope: str, depth: int) -> str:
    """Kind of a variable or parameter, from its last declaration in the scope."""
    # A type, possibly with template arguments; the name; what follows a declaration.
    typed = (
        r"(?:^|[(,;{}\n])\s*((?:static |const |constexpr )*[\w:]+"
        r"(?:<(?:[^<>;(){}]|<[^<>]*>)*>)?(?:\s*\*)?)"
        rf"[\s&]*(?<=[\s&*]){name}\b\s*(?=([,;)=({{]|\[))"
    )
    found = [m for m in re.finditer(typed, scope) if m[1] not in {"return", "else"}]
    if not found:
        tied = list(re.finditer(rf"auto&?\s*\[[^\]]*\b{name}\b[^\]]*\]\s*=", scope))
        return "tensor" if tied else "?"
    last = found[-1]
    if re.match(r"\{\s*nullptr\s*\}", scope[last.end() :]):
        return "?"  # always null, whatever its type
    declared = re.sub(r"\b(?:static|const|constexpr)\b", "", last[1]).strip()
    if declared != "auto":
        kind = kind_of_type(declared)
        return "ints" if kind == "int64" and last[2] == "[" else kind
    value = re.match(r"\s*=\s*([^;]+);", scope[last.end() :])
    return _kind_of(value[1], scope[: last.start()], depth + 1) if value else "?"


def _read(name: str, text: str) -> Source:
    text = _without_comments(text)
    source = Source(name, probed=set(PROBE.findall(text)))
    for function, start, end in _functions(text):
        body = text[start : end + 1]
        source.functions[function] = source.functions.get(function, "") + body
        for match in CALL.finditer(body):
            opening = match.end() - 1
            op, *arguments = split_arguments(body[opening + 1 : _closing(body, opening)])
            if op.startswith("aclnn"):
                if match[0].startswith(WITH_WORKSPACE):
                    arguments = arguments[2:]
                scope = text[:start][-4000:] + body[: match.start()]
                kinds = tuple(_kind_of(argument, scope) for argument in arguments)
                source.calls.append(CallSite(op, function, kinds))
        for match in FALLBACK.finditer(body):
            opening = match.end() - 1
            *ops, instead = split_arguments(body[opening + 1 : _closing(body, opening)])
            for op in ops:
                if op.startswith("aclnn"):
                    source.fallbacks.setdefault(op, set()).add(instead)
    return source


def read_sources(root: Path) -> list[Source]:
    """Read all C++ files below a folder."""
    paths = sorted(path for path in root.rglob("*") if path.suffix in {".cpp", ".h"})
    return [_read(str(path.relative_to(root)), path.read_text(errors="replace")) for path in paths]
