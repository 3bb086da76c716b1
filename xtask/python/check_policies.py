"""Checks the IAM policies of CloudFormation templates with parliament, as they are with each template's defaults and with both sides of each condition.

    check_policies.py TEMPLATE...

Knows the functions of CloudFormation that the templates use, and fails at any other rather than to pass it over.
"""

import json
import sys

import parliament
from samtranslator.yaml_helper import yaml_parse

PSEUDO = {"AWS::Partition": "aws", "AWS::Region": "us-east-1", "AWS::AccountId": "123456789012", "AWS::URLSuffix": "amazonaws.com"}
NO_VALUE = {"Ref": "AWS::NoValue"}

# What `!GetAtt X.Arn`, and `!Ref X` where that is the ARN, stand for, by type of resource.
ARNS = {
    "AWS::SQS::Queue": "arn:aws:sqs:us-east-1:123456789012:{name}",
    "AWS::Serverless::Function": "arn:aws:lambda:us-east-1:123456789012:function:{name}",
    "AWS::SecretsManager::Secret": "arn:aws:secretsmanager:us-east-1:123456789012:secret:{name}-AbCdEf",
}
REF_IS_ARN = {"AWS::SecretsManager::Secret"}


# Actions with "*" for a resource, which parliament would see narrowed, and why they cannot be.
STAR = {
    "ecs:ListTasks": "a list by startedBy is of no container instance, and the condition holds it to the clusters",
    "ec2:AssignPrivateIpAddresses": "Lambda's own: the function's interfaces are not there before",
    "ec2:CreateNetworkInterface": "the same",
    "ec2:DeleteNetworkInterface": "the same",
    "ec2:UnassignPrivateIpAddresses": "the same",
}

# Condition keys that parliament does not know of, and AWS's Service Authorization Reference does.
CONDITION_KEYS = {"elasticloadbalancing:CreateAction"}


class Template:
    def __init__(self, path: str, branch: int):
        with open(path, encoding="utf-8") as file:
            self.template = yaml_parse(file.read())
        # Of every Fn::If the first or the second side: a policy must be sound with what a condition brings, and without.
        self.branch = branch

    def policies(self):
        """The name and the document of each policy that somebody is given. Who may take on a role is none, nor what a queue lets in."""
        for name, resource in self.template["Resources"].items():
            properties = resource.get("Properties", {})
            if resource["Type"] == "AWS::IAM::Role":
                for policy in self.value(properties.get("Policies", [])):
                    yield f"{name}.{policy['PolicyName']}", policy["PolicyDocument"]
            elif resource["Type"] in ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"):
                yield name, self.value(properties["PolicyDocument"])

    def value(self, node):
        if isinstance(node, list):
            items = (self.value(item) for item in node if item != NO_VALUE)
            return [item for item in items if item != NO_VALUE]
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            [(function, argument)] = node.items()
            if function == "Ref" or function.startswith("Fn::"):
                return self.call(function, argument)
        return {key: self.value(item) for key, item in node.items() if item != NO_VALUE}

    def call(self, function: str, argument):
        match function:
            case "Ref":
                return NO_VALUE if argument == "AWS::NoValue" else self.reference(argument)
            case "Fn::GetAtt":
                name, attribute = argument if isinstance(argument, list) else argument.split(".")
                assert attribute == "Arn", f"GetAtt of {argument}"
                return self.arn(name)
            case "Fn::Sub":
                text, names = argument if isinstance(argument, list) else (argument, {})
                names = {key: self.value(item) for key, item in names.items()}
                while "${" in text:
                    before, _, rest = text.partition("${")
                    name, _, after = rest.partition("}")
                    text = before + str(names[name] if name in names else self.reference(name)) + after
                return text
            case "Fn::Join":
                separator, items = argument
                return separator.join(self.value(items))
            case "Fn::Split":
                separator, text = argument
                return self.value(text).split(separator)
            case "Fn::If":
                return self.value(argument[1 + self.branch])
        raise NotImplementedError(function)

    def reference(self, name: str):
        if name in PSEUDO:
            return PSEUDO[name]
        if name in self.template.get("Parameters", {}):
            parameter = self.template["Parameters"][name]
            value = str(parameter.get("Default") or f"some-{name}")
            return value.split(",") if parameter["Type"] == "CommaDelimitedList" else value
        return self.arn(name) if self.template["Resources"][name]["Type"] in REF_IS_ARN else f"{name}-1"

    def arn(self, name: str) -> str:
        return ARNS[self.template["Resources"][name]["Type"]].format(name=name)


def is_accepted(finding) -> bool:
    if finding.issue == "RESOURCE_STAR":
        return set(finding.detail) <= STAR.keys()
    return finding.issue == "UNKNOWN_CONDITION_FOR_ACTION" and any(f"condition {key} " in finding.detail for key in CONDITION_KEYS)


def main() -> int:
    bad = 0
    for path in sys.argv[1:]:
        for branch in (0, 1):
            for name, document in Template(path, branch).policies():
                found = [finding for finding in parliament.analyze_policy_string(json.dumps(document)).findings if not is_accepted(finding)]
                bad += len(found)
                for finding in map(parliament.enhance_finding, found):
                    print(f"{path}: {name}: {finding.severity} {finding.title}: {finding.detail} {finding.location}")
                print(f"{path}: {name} ({len(document['Statement'])} statements): {len(found)} findings")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
