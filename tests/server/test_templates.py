"""Go templates: what they write for conversations, and what is refused when they are read."""

from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.server.facts import model_facts
from pipeline.server.templates import TemplateError, parse_template
from pipeline.server.templates.choice import go_template
from pipeline.server.templates.parse import parse
from pipeline.server.templates.render import render
from tests.server.make_model import tiny_gguf

TALK = [
    {"role": "system", "content": "S"},
    {"role": "user", "content": "U"},
    {"role": "assistant", "content": "A"},
    {"role": "user", "content": "V"},
]
DATA = {
    "System": "S",
    "Prompt": "",
    "Messages": [{"Role": "user", "Content": "U"}, {"Role": "tool", "Content": "é"}],
    "Tools": [
        {"Function": {"Name": "f", "Parameters": {"Properties": {"b": {"Type": "string"}, "a": {"Type": "int"}}}}}
    ],
    "Think": True,
}


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("a {{ .System }} b", "a S b"),
        ("a \n{{- .System -}}\n b", "aSb"),
        ("a {{/* a note */}} b{{- /* one more */ -}} c", "a  bc"),
        ("{{ if .Prompt }}p{{ else if .System }}s{{ else }}n{{ end }}", "s"),
        ("{{ if and .System (not .Prompt) }}yes{{ end }}", "yes"),
        ("{{ if or .Prompt .System }}yes{{ end }}", "yes"),
        ("{{ and .Prompt (index .Messages 9) }}", ""),
        ("{{ range .Messages }}{{ .Role }}:{{ .Content }} {{ end }}", "user:U tool:é "),
        ("{{ range $i, $m := .Messages }}{{ $i }}{{ $m.Role }}{{ $.System }}{{ end }}", "0userS1toolS"),
        ("{{ range $m := .Messages }}{{ $m.Content }}{{ end }}", "Ué"),
        ("{{ range .Messages }}{{ if eq .Role \"user\" }}{{ continue }}{{ end }}{{ .Content }}{{ end }}", "é"),
        ("{{ range .Messages }}{{ .Content }}{{ break }}{{ end }}", "U"),
        ("{{ range .ToolCalls }}x{{ else }}none{{ end }}", "none"),
        ("{{ with .System }}{{ . }}!{{ end }}{{ with .Prompt }}x{{ else }}y{{ end }}", "S!y"),
        ("{{ $x := \"a\" }}{{ if .System }}{{ $x = \"b\" }}{{ end }}{{ $x }}", "b"),
        ("{{ $x := \"a\" }}{{ if .System }}{{ $x := \"b\" }}{{ $x }}{{ end }}{{ $x }}", "ba"),
        ("{{ len .Messages }} {{ len (slice .Messages 1) }} {{ len \"é\" }}", "2 1 2"),
        ("{{ (index .Messages 0).Content }}{{ slice .System 0 1 }}", "US"),
        ("{{ if eq (len (slice $.Messages 1)) 1 }}last{{ end }}", "last"),
        ("{{ if eq .System \"x\" \"S\" }}one of{{ end }}{{ if ne .System \"x\" }} not{{ end }}", "one of not"),
        ("{{ if lt 1 2 }}a{{ end }}{{ if ge 1 2 }}b{{ end }}{{ if le 2 2 }}c{{ end }}{{ if gt 2 1 }}d{{ end }}", "acd"),
        ("{{ printf \"%s-%d %q%%\" .System 3 \"x\" }}{{ print 1 2 \"a\" }}", "S-3 \"x\"%1 2a"),
        ("{{ .System | printf \"%s%s\" \"a\" }}{{ .Messages | len }}", "aS2"),
        ("{{ range $name, $p := (index .Tools 0).Function.Parameters.Properties }}{{ $name }}={{ $p.Type }};{{ end }}", "a=int;b=string;"),
        ("{{ json .Think }}{{ .Think }}{{ .Suffix }}", "truetrue<no value>"),
        ("{{ index .Messages 0 }}", '{"Role":"user","Content":"U"}'),
        ("{{ `raw \"}}` }}{{ \"a\\n\\\"}}\" }}", 'raw "}}a\n"}}'),
        ("a{{ \"-\" }}b {{ 3 }}", "a-b 3"),
    ],
)  # fmt: skip
def test_language(template: str, expected: str) -> None:
    """Each part of the language writes what Go's does."""
    assert render(parse(template), DATA) == expected


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ .System", "unclosed action"),
        ("{{ if .System }}x", "if without end"),
        ("{{ end }}", "unexpected {{end}}"),
        ("{{ else }}", "unexpected {{else}}"),
        ("{{ .Secret }}", "field .Secret is not supported"),
        ("{{ call .System }}", "'call' is not supported"),
        ("{{ define \"x\" }}{{ end }}", "'define' is not supported"),
        ("{{ template \"x\" }}", "'template' is not supported"),
        ("{{ (len .System }}", "unclosed parenthesis"),
        ("{{ .System) }}", "unexpected"),
        ("{{ .System .Prompt }}", ".System is no function"),
        ("{{ }}", "an empty action"),
        ("{{ .System | }}", "an empty action"),
        ("{{ .System | .Prompt }}", "a pipe leads into what is no function"),
        ("{{ $a, $b := .System }}", "a bad assignment"),
        ("{{ range .Messages }}{{ else if .System }}{{ end }}{{ end }}", "unexpected"),
        ("{{ # }}", "unexpected '#' in an action"),
        ("{{ \"\\q\" }}", "bad string"),
        ("{{ if .System }}" * 200 + "{{ end }}" * 200, "too many levels"),
    ],
)  # fmt: skip
def test_template_that_cannot_be_read(template: str, message: str) -> None:
    """What is wrong, or not here, is named."""
    with pytest.raises(TemplateError) as caught:
        parse_template(template)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ index .Messages 9 }}", "index out of range"),
        ("{{ slice .System 5 }}", "slice out of range"),
        ("{{ len .Think }}", "len of what has no length"),
        ("{{ if lt .System 1 }}{{ end }}", "incompatible types for comparison"),
        ("{{ range .System }}{{ end }}", "range over what is no list"),
        ("{{ $x = 1 }}", "undefined variable $x"),
        ("{{ break }}", "break outside of range"),
        ("{{ printf \"%s\" }}", "printf has too few values"),
        ("{{ not }}", "missing 1 required positional argument"),
        ("{{ range 100000 }}{{ printf \"%s\" \"" + "x" * 1000 + "\" }}{{ end }}", "the template writes too much"),
    ],
)  # fmt: skip
def test_template_that_fails(template: str, message: str) -> None:
    """A mistake that only shows with data is an error of the same kind, with a bounded cost."""
    with pytest.raises(TemplateError) as caught:
        render(parse(template), DATA)
    assert message in str(caught.value)


def test_conversation_by_messages() -> None:
    """A template with `.Messages` sees all of them, and the system messages in one text besides."""
    template = parse_template("{{ .System }}|{{ range .Messages }}[{{ .Role }} {{ .Content }}]{{ end }}>")
    assert template.prompt(TALK) == "S|[system S][user U][assistant A][user V]>"
    twice = [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]
    assert template.prompt(twice) == "|[user a\n\nb]>"


def test_conversation_by_turns() -> None:
    """An older template is written for each turn; the last one ends where the answer goes, whatever stands behind it."""
    template = parse_template(
        "{{ if .System }}<{{ .System }}>{{ end }}{{ if .Prompt }}u:{{ .Prompt }};{{ end }}a:{{ .Response }};end\n"
    )
    assert template.prompt(TALK) == "<S>u:U;a:A;end\nu:V;a:"
    hidden = parse_template("u:{{ .Prompt }} {{ if .Response }}a:{{ .Response }}{{ else }}b{{ end }} tail")
    assert hidden.prompt(TALK[1:]) == "u:U a:A tailu:V "


def test_template_without_a_place_for_the_answer() -> None:
    """The answer goes to its end."""
    template = parse_template("u:{{ .Prompt }};")
    assert template.prompt(TALK[1:]) == "u:U;Au:V;"


def test_tool_calls() -> None:
    """What the model called stands in the conversation with its arguments as an object."""
    template = parse_template(
        "{{ range .Messages }}{{ range .ToolCalls }}{{ .Function.Name }}{{ .Function.Arguments }}{{ end }}{{ end }}"
    )
    call = {"function": {"name": "f", "arguments": '{"a": 1}'}}
    assert template.prompt([{"role": "assistant", "content": "", "tool_calls": [call]}]) == 'f{"a":1}'


@pytest.mark.parametrize(
    ("stored", "in_file", "capabilities", "chosen"),
    [
        ("", "jinja", ("completion",), ""),
        ("{{ .Prompt }}", "", ("completion",), "{{ .Prompt }}"),
        ("{{ .Prompt }}", "jinja", ("completion",), "{{ .Prompt }}"),
        ("{{ .Prompt }}", "jinja", ("completion", "tools"), ""),
        ("{{ .Prompt }}", "jinja", ("completion", "thinking"), ""),
        ("{{ .Prompt }}", "", ("embedding",), ""),
        ("{{ define }}", "jinja", ("completion",), ""),
        ("{{ define }}", "", ("completion",), "{{ define }}"),
    ],
)
def test_which_template_is_used(
    tmp_path: Path, stored: str, in_file: str, capabilities: tuple[str, ...], chosen: str
) -> None:
    """The stored one, unless the file's brings tools or thinking, or is the only one that can be rendered."""
    facts = replace(model_facts(tiny_gguf(tmp_path / "tiny.gguf")), capabilities=capabilities, template=in_file)
    assert go_template(stored, facts) == chosen
