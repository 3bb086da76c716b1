"""Expands a SAM template to plain CloudFormation, as CloudFormation itself does before it deploys one.

    expand_template.py TEMPLATE [CODE_URI [DEFINITION_URI]] > template.json

What the template names on this machine is taken for uploaded: the function's code to CODE_URI, the state machine's definition to DEFINITION_URI
(both s3://bucket/key). Knows nothing of Wharf, and deploys nothing.
"""

import json
import os
import sys

os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")

from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse

# What SAM calls the property that it uploads, by type of resource.
UPLOADED = {
    "AWS::Serverless::Function": "CodeUri",
    "AWS::Serverless::StateMachine": "DefinitionUri",
}


def expand(template: dict, uris: dict) -> dict:
    for resource in template["Resources"].values():
        if name := UPLOADED.get(resource["Type"]):
            resource["Properties"][name] = uris[name]
    # SAM resolves references to parameters where it needs their values, and wants those of its own accord for none: the defaults do.
    values = {name: parameter["Default"] for name, parameter in template.get("Parameters", {}).items() if "Default" in parameter}
    values["AWS::Region"] = os.environ["AWS_DEFAULT_REGION"]
    return Translator({}, Parser()).translate(template, values)


def main() -> None:
    path, *uris = sys.argv[1:]
    code, definition = (uris + ["s3://bucket/code.zip", "s3://bucket/definition.json"][len(uris) :])[:2]
    with open(path, encoding="utf-8") as file:
        template = yaml_parse(file.read())
    json.dump(expand(template, {"CodeUri": code, "DefinitionUri": definition}), sys.stdout, indent=2)


if __name__ == "__main__":
    main()
