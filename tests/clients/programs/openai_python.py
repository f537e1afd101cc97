import openai
from report import CHAT, EMBED, MESSAGES, SCHEMA, TOOL, URL, refusal, report

client = openai.OpenAI(base_url=f"{URL}/v1", api_key="unused", max_retries=0, timeout=600)
SHORT = {"model": CHAT, "temperature": 0, "seed": 1, "max_tokens": 8}


def embed():
    packed = client.embeddings.create(model=EMBED, input=["a", "b"])  # base64 on the wire: the client's default
    plain = client.embeddings.create(model=EMBED, input=["a", "b"], encoding_format="float")
    pairs = zip(packed.data[0].embedding, plain.data[0].embedding, strict=True)
    same = max(abs(one - other) for one, other in pairs) < 1e-6
    short = client.embeddings.create(model=EMBED, input="a", dimensions=16)
    return [len(row.embedding) for row in packed.data], same, len(short.data[0].embedding), packed.usage.prompt_tokens


def chat():
    reply = client.chat.completions.create(messages=MESSAGES, **SHORT)
    choice = reply.choices[0]
    response = client.responses.create(model=CHAT, input="Say hello.", temperature=0, max_output_tokens=8)
    return [
        choice.message.role,
        choice.message.content,
        choice.finish_reason,
        reply.usage.completion_tokens,
        response.status,
    ]


def generate():
    reply = client.completions.create(prompt="Say hello.", **SHORT)
    return reply.choices[0].text, reply.choices[0].finish_reason, reply.usage.completion_tokens


def stream():
    chats = list(
        client.chat.completions.create(messages=MESSAGES, stream=True, stream_options={"include_usage": True}, **SHORT)
    )
    texts = list(client.completions.create(prompt="Say hello.", stream=True, **SHORT))
    chat = "".join(part.choices[0].delta.content or "" for part in chats if part.choices)
    text = "".join(part.choices[0].text for part in texts if part.choices)
    with client.responses.stream(model=CHAT, input="Say hello.", temperature=0, max_output_tokens=8) as events:
        kinds = [event.type for event in events]
    return [chat, text, len(chats) > 2, chats[-1].usage.completion_tokens, kinds[0]]


def structured():
    wanted = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}
    reply = client.chat.completions.create(messages=MESSAGES, response_format=wanted, **{**SHORT, "max_tokens": 40})
    return reply.choices[0].message.content


report(
    embed=embed,
    chat=chat,
    generate=generate,
    stream=stream,
    format=structured,
    tools=lambda: refusal(lambda: client.chat.completions.create(messages=MESSAGES, tools=[TOOL], **SHORT)),
    list=lambda: sorted(model.id for model in client.models.list()),
    show=lambda: [client.models.retrieve(EMBED).id, client.models.retrieve(EMBED).owned_by],
    errors=lambda: refusal(lambda: client.chat.completions.create(model="nope", messages=MESSAGES)),
)
