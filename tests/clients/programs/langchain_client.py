from langchain_core.messages import HumanMessage
from langchain_ollama import ChatOllama, OllamaEmbeddings, OllamaLLM
from report import CHAT, EMBED, SCHEMA, TOOL, URL, refusal, report

SETTINGS = {"model": CHAT, "base_url": URL, "temperature": 0, "seed": 1, "num_predict": 8}
chat_model = ChatOllama(**SETTINGS)
text_model = OllamaLLM(**SETTINGS)
embedder = OllamaEmbeddings(model=EMBED, base_url=URL)


def chat():
    reply = chat_model.invoke([HumanMessage("Say hello.")])
    return [reply.type, reply.content, reply.response_metadata["done_reason"], reply.usage_metadata["output_tokens"]]


def stream():
    chats = list(chat_model.stream([HumanMessage("Say hello.")]))
    texts = list(text_model.stream("Say hello."))
    return ["".join(part.content for part in chats), "".join(texts), len(chats) > 1]


def structured():
    model = ChatOllama(**{**SETTINGS, "num_predict": 40}, format=SCHEMA)
    return model.invoke([HumanMessage("Say hello.")]).content


report(
    embed=lambda: [[len(row) for row in embedder.embed_documents(["a", "b"])], len(embedder.embed_query("a"))],
    chat=chat,
    generate=lambda: text_model.invoke("Say hello."),
    stream=stream,
    format=structured,
    tools=lambda: refusal(lambda: chat_model.bind_tools([TOOL]).invoke("What time is it?")),
    errors=lambda: refusal(lambda: ChatOllama(model="nope", base_url=URL).invoke("hello")),
)
