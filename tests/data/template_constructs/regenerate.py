#!/usr/bin/env python3
"""Render every case of constructs.json again with Jinja2, in the environment transformers uses."""

import json
import os
from datetime import datetime

import jinja2
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment

PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "constructs.json")
NOW = datetime(2026, 1, 2, 3, 4, 5)


class Generation(jinja2.ext.Extension):
    """{% generation %}: a block whose marks do not show."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_support"), [], [], body).set_lineno(line)

    def _support(self, caller):
        return caller()


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(
        x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def environment():
    env = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols]
    )
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = NOW.strftime
    return env


def render(env, template, inputs):
    try:
        return {"template": template, "rendered": env.from_string(template).render(**inputs)}
    except Exception as error:  # whatever Jinja2 raises is the expectation
        return {"template": template, "error": f"{type(error).__name__}: {error}"}


def main():
    with open(PATH, encoding="utf-8") as file:
        document = json.load(file)
    env = environment()
    document["jinja2"] = jinja2.__version__
    document["cases"] = [render(env, c["template"], document["inputs"]) for c in document["cases"]]
    with open(PATH, "w", encoding="utf-8") as file:
        json.dump(document, file, ensure_ascii=True, indent=0)
        file.write("\n")


main()
