"""What the programs of this folder share: each endpoint's function runs, and its value is a line of JSON on stdout.

They run in the environment of a foreign client, with the server's URL and the names of two models as arguments.
"""

import json
import sys
import traceback

URL, EMBED, CHAT = sys.argv[1:4]
MESSAGES = [{"role": "user", "content": "Say hello."}]
OPTIONS = {"temperature": 0, "seed": 1, "num_predict": 8}
SCHEMA = {"type": "object", "properties": {"blue": {"type": "boolean"}}, "required": ["blue"]}
PARAMETERS = {"type": "object", "properties": {"zone": {"type": "string"}}, "required": ["zone"]}
TOOL = {"type": "function", "function": {"name": "now", "description": "The time.", "parameters": PARAMETERS}}


def report(**endpoints):
    for endpoint, work in endpoints.items():
        try:
            value = work()
        except Exception:
            value = {"failed": traceback.format_exc()}
        print(json.dumps({"endpoint": endpoint, "value": value}), flush=True)


def refusal(work):
    """The type and text of the client's own error."""
    try:
        work()
    except Exception as error:
        return [type(error).__name__, str(error)]
    return None
