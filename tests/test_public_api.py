"""Every public function and class, read from the source: how it is called, and what its docstring says."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import ttd_jax

PACKAGE = Path(ttd_jax.__file__).parent
SECTIONS = ["Args", "Attributes", "Returns", "Yields", "Raises", "Example", "Examples", "Note", "References"]
Function = ast.FunctionDef | ast.AsyncFunctionDef


class Public(NamedTuple):
    """A definition that others may use."""

    name: str
    node: Function | ast.ClassDef

    @property
    def doc(self) -> str:
        return ast.get_docstring(self.node) or ""


def definitions(body: list[ast.stmt], prefix: str) -> Iterator[Public]:
    """The public functions and classes of a module, and the public methods of these classes."""
    for node in body:
        if isinstance(node, Function | ast.ClassDef) and not node.name.startswith("_"):
            yield Public(f"{prefix}.{node.name}", node)
            if isinstance(node, ast.ClassDef):
                yield from definitions(node.body, f"{prefix}.{node.name}")


def everything_public() -> list[Public]:
    found: list[Public] = []
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        if not any(part.startswith("_") and part != "__init__" for part in parts):
            found += definitions(ast.parse(path.read_text()).body, ".".join(parts).removesuffix(".__init__"))
    return found


PUBLIC = everything_public()
FUNCTIONS = [public for public in PUBLIC if isinstance(public.node, Function)]


def functions(text: str) -> list[Public]:
    """Those of a source text, for the tests of the rules themselves."""
    return [public for public in definitions(ast.parse(text).body, "m") if isinstance(public.node, Function)]


def defaults_by_position(public: Public) -> bool:
    """Whether an option can be given without its name."""
    assert isinstance(public.node, Function)
    return bool(public.node.args.defaults)


def choices_as_str(public: Public) -> bool:
    """Whether the type of an option says ``str`` where it has a word for its default, so that there are choices."""
    assert isinstance(public.node, Function)
    given = public.node.args
    positional = given.args[len(given.args) - len(given.defaults) :]
    options = [*zip(positional, given.defaults, strict=True), *zip(given.kwonlyargs, given.kw_defaults, strict=True)]
    return any(
        isinstance(default, ast.Constant) and isinstance(default.value, str) and default.value
        and argument.annotation is not None and ast.unparse(argument.annotation) in ("str", "str | None")
        for argument, default in options
    )  # fmt: skip


def raises_unsaid(public: Public) -> bool:
    """Whether it raises an error of the package itself, and has no section that says when."""
    raised = {
        call.func.id
        for node in ast.walk(public.node)
        if isinstance(node, ast.Raise)
        for call in [node.exc]
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name)
    }
    told_by_main = public.name.startswith("ttd_jax.cli.") and public.name.endswith(".run")
    return bool(raised & {"InputError", "CheckpointError"}) and "Raises:" not in public.doc and not told_by_main


def opens_badly(public: Public) -> bool:
    """Whether the docstring does not begin with one sentence on a line of its own."""
    if not public.doc and public.node.name in ("setup", "encode", "decode") and ".backbones." in public.name:
        return False  # of a flax module, whose class says what it is
    first, *rest = public.doc.splitlines() or [""]
    return not re.fullmatch(r"[A-Z`0-9\"|(:*].*[.:]", first) or (bool(rest) and rest[0] != "")


def arguments_unsaid(public: Public) -> bool:
    """Whether it takes four arguments or more and does not say what each is; a verb's are told by its protocol."""
    assert isinstance(public.node, Function)
    given = [one.arg for one in [*public.node.args.args, *public.node.args.kwonlyargs] if one.arg != "self"]
    verb = public.node.name in ("weigh", "survey", "render")
    return len(given) > 3 and "Args:" not in public.doc and not verb


def unknown_sections(public: Public) -> bool:
    """Whether a heading is none of those that readers know."""
    return any(name not in SECTIONS for name in re.findall(r"^([A-Z][a-z]+):$", public.doc, re.MULTILINE))


MODELS = (
    *(f"backbones.{name}" for name in ("adapter.RuleModel", "bandnet.BandNet", "mgdn.MGDN", "piafusion.PIAFusion")),
    "backbones.pyramid.Pyramid",
    "core.model.FusionModel",
    "core.precision.RoundedModel",
)
WEIGHTINGS = (
    "core.gradient_weighting.GradientWeighting",
    "core.protocol.Weighting",
    "core.weighting.LossWeighting",
    "core.weighting.StaticWeighting",
)

# What a rule does not hold for, without the package's name, and why.
EXCEPTIONS: dict[str, set[str]] = {
    "defaults_by_position": {
        "backbones.load_backbone",  # load_backbone("ifcnn", folder) is how it is known
        "cli.main",  # main(argv), as everywhere
        *(f"{model}.merge" for model in MODELS),  # a verb of the protocol: merge(features, weights)
        *(f"{weighting}.{verb}" for weighting in WEIGHTINGS for verb in ("weigh", "describe")),  # as in optax
        "core.bands.merge_features",
        "core.scoring.Scoring.as_data",
    },
}
RULES = [defaults_by_position, choices_as_str, raises_unsaid, arguments_unsaid, opens_badly, unknown_sections]


@pytest.mark.parametrize("broken", RULES, ids=lambda rule: rule.__name__)
def test_rules_hold_for_all_but_the_exceptions(broken):
    checked = FUNCTIONS if broken in (defaults_by_position, choices_as_str, raises_unsaid, arguments_unsaid) else PUBLIC
    assert len(checked) > 200
    found = {public.name.removeprefix("ttd_jax.") for public in checked if broken(public)}
    assert found == EXCEPTIONS.get(broken.__name__, set()), broken.__doc__


def test_the_rules_can_fail():
    text = '''
def option(x, y, z, kind: str = "a"):
    """lower case"""
    raise InputError("no")
def fine(x, *, kind: Kind = "a"):
    """What comes out.

    Raises:
        InputError: Never.
    """
    raise InputError("no")
'''
    for rule in RULES[:5]:
        assert [public.name for public in functions(text) if rule(public)] == ["m.option"], rule.__name__
    assert unknown_sections(functions('def f():\n    """F.\n\n    Parameter:\n        x: y.\n    """')[0])
