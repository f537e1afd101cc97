import ollama
from report import CHAT, EMBED, MESSAGES, OPTIONS, SCHEMA, TOOL, URL, refusal, report

client = ollama.Client(host=URL)


def embed():
    reply = client.embed(EMBED, ["a", "b"], dimensions=16)
    return [len(row) for row in reply.embeddings], reply.prompt_eval_count, len(client.embeddings(EMBED, "a").embedding)


def chat():
    reply = client.chat(CHAT, MESSAGES, options=OPTIONS)
    return reply.message.role, reply.message.content, reply.done_reason, reply.eval_count


def generate():
    reply = client.generate(CHAT, "Say hello.", options=OPTIONS)
    return reply.response, reply.done_reason, reply.eval_count


def stream():
    chats = list(client.chat(CHAT, MESSAGES, stream=True, options=OPTIONS))
    texts = list(client.generate(CHAT, "Say hello.", stream=True, options=OPTIONS))
    whole = "".join(part.message.content for part in chats), "".join(part.response for part in texts)
    return [*whole, len(chats) > 1, chats[-1].done, texts[-1].eval_count]


def create():
    states = [part.status for part in client.create("made", from_=CHAT, system="Be brief.", stream=True)]
    return states[-1], client.show("made").model_dump()["modelfile"].count("SYSTEM Be brief.")


def delete():
    status = client.delete("copied").status
    return status, refusal(lambda: client.delete("copied"))


report(
    embed=embed,
    chat=chat,
    generate=generate,
    stream=stream,
    format=lambda: client.chat(CHAT, MESSAGES, format=SCHEMA, options={**OPTIONS, "num_predict": 40}).message.content,
    tools=lambda: refusal(lambda: client.chat(CHAT, MESSAGES, tools=[TOOL])),
    list=lambda: sorted(model.model for model in client.list().models),
    show=lambda: [client.show(EMBED).capabilities, client.show(EMBED).modelinfo["bert.context_length"]],
    ps=lambda: sorted(model.model for model in client.ps().models),
    create=create,
    copy=lambda: client.copy("made", "copied").status,
    delete=delete,
    pull=lambda: [part.status for part in client.pull(EMBED, stream=True)][-1],
    errors=lambda: refusal(lambda: client.chat("nope", MESSAGES)),
)
