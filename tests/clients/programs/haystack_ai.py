from haystack import Document
from haystack.dataclasses import ChatMessage
from haystack.tools import Tool
from haystack_integrations.components.embedders.ollama import OllamaDocumentEmbedder, OllamaTextEmbedder
from haystack_integrations.components.generators.ollama import OllamaChatGenerator
from report import CHAT, EMBED, OPTIONS, PARAMETERS, SCHEMA, URL, refusal, report

HELLO = [ChatMessage.from_user("Say hello.")]
SETTINGS = {"model": CHAT, "url": URL, "generation_kwargs": OPTIONS, "timeout": 600}


def embed():
    documents = OllamaDocumentEmbedder(model=EMBED, url=URL).run([Document(content="a"), Document(content="b")])
    text = OllamaTextEmbedder(model=EMBED, url=URL).run("a")
    return [len(document.embedding) for document in documents["documents"]], len(text["embedding"])


def chat():
    reply = OllamaChatGenerator(**SETTINGS).run(HELLO)["replies"][0]
    return [reply.role.value, reply.text, reply.meta["finish_reason"], reply.meta["usage"]["completion_tokens"]]


def stream():
    pieces = []
    OllamaChatGenerator(**SETTINGS, streaming_callback=pieces.append).run(HELLO)
    return ["".join(piece.content for piece in pieces), len(pieces) > 1]


def structured():
    options = {**OPTIONS, "num_predict": 40}
    model = OllamaChatGenerator(model=CHAT, url=URL, generation_kwargs=options, response_format=SCHEMA, timeout=600)
    return model.run(HELLO)["replies"][0].text


def with_tools():
    tool = Tool(name="now", description="The time.", parameters=PARAMETERS, function=lambda zone: zone)
    return OllamaChatGenerator(**SETTINGS, tools=[tool]).run(HELLO)


report(
    embed=embed,
    chat=chat,
    stream=stream,
    format=structured,
    tools=lambda: refusal(with_tools),
    errors=lambda: refusal(lambda: OllamaChatGenerator(model="nope", url=URL).run(HELLO)),
)
