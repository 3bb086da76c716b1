"""Checks task definitions against the API's own model of RegisterTaskDefinition, as botocore brings it along.

    check_task_definitions.py FILE...

What stands in ${...} is filled in at registration, and is a text here. What the model does not know (that Fargate takes only some pairs of cpu
and memory, that a bridge has no fixed address) is for the tests in Rust.
"""

import json
import sys

import botocore.session
from botocore.validate import ParamValidator


def strange_choices(shape, value, path: str):
    """Values that are none of those that the API lists: botocore's own check lets them pass."""
    if shape.type_name == "structure":
        for name in value.keys() & shape.members.keys():
            yield from strange_choices(shape.members[name], value[name], f"{path}.{name}")
    elif shape.type_name == "list":
        for index, item in enumerate(value):
            yield from strange_choices(shape.member, item, f"{path}[{index}]")
    elif (choices := getattr(shape, "enum", [])) and value not in choices:
        yield f"{path} is {value}, and none of {', '.join(choices)}"


def main() -> int:
    model = botocore.session.get_session().get_service_model("ecs").operation_model("RegisterTaskDefinition").input_shape
    bad = 0
    for path in sys.argv[1:]:
        with open(path, encoding="utf-8") as file:
            definition = json.load(file)
        problems = list(strange_choices(model, definition, "$"))
        report = ParamValidator().validate(definition, model)
        if report.has_errors():
            problems.append(report.generate_report())
        bad += len(problems)
        print("\n".join(f"{path}: {problem}" for problem in problems) or f"{path}: fine")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
