from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.embeddings.ollama import OllamaEmbedding
from llama_index.llms.ollama import Ollama
from report import CHAT, EMBED, URL, refusal, report

OPTIONS = {"seed": 1, "num_predict": 8}
model = Ollama(
    model=CHAT, base_url=URL, temperature=0, request_timeout=600, context_window=2048, additional_kwargs=OPTIONS
)
embedder = OllamaEmbedding(model_name=EMBED, base_url=URL)
HELLO = [ChatMessage(role="user", content="Say hello.")]


def chat():
    reply = model.chat(HELLO)
    return [reply.message.role.value, reply.message.content, reply.raw["done_reason"], reply.raw["eval_count"]]


def stream():
    chats = list(model.stream_chat(HELLO))
    texts = list(model.stream_complete("Say hello."))
    return [chats[-1].message.content, texts[-1].text, len(chats) > 1]


def now(zone: str) -> str:
    """The time."""
    return zone


def with_tools():
    return model.chat_with_tools([FunctionTool.from_defaults(now)], user_msg="What time is it?")


def structured():
    long = Ollama(
        model=CHAT,
        base_url=URL,
        temperature=0,
        request_timeout=600,
        json_mode=True,
        context_window=2048,
        additional_kwargs={"seed": 1, "num_predict": 60},
    )
    return long.complete('Is the sky blue? Answer in JSON: {"blue": true} or {"blue": false}.').text


report(
    embed=lambda: [
        [len(row) for row in embedder.get_text_embedding_batch(["a", "b"])],
        len(embedder.get_query_embedding("a")),
    ],
    chat=chat,
    generate=lambda: model.complete("Say hello.").text,
    stream=stream,
    format=structured,
    tools=lambda: refusal(with_tools),
    errors=lambda: refusal(lambda: Ollama(model="nope", base_url=URL, context_window=2048).complete("hello")),
)
