"""Conversations over a collection, in the library: real search, chat replies of a real model, scripted or broken off."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.collection import Collection
from pipeline.config import Config
from pipeline.conversation import Conversation
from pipeline.dialogue import Dialogue
from pipeline.errors import ApiError, CollectionNotFound, ModelNotFound, UsageError
from tests.conftest import CHAT_MODEL, EMBEDDING_MODEL
from tests.forwarding_server import Forwarding, Said, forwarding_server

DOCUMENTS = {
    "keys.md": "Signing keys are rotated every ninety days by the engineer on call. The old key stays valid for one week.",
    "bread.md": "Let the dough rest for four hours at room temperature, then bake it for fifty minutes.",
    "tides.txt": "The tide gauge in the harbour reports the water level every six minutes, in millimetres.",
}
NINETY = Said(pieces=("Signing keys are rotated", " every ninety days [1]."))
REWRITTEN = Said(pieces=('{"question": "Who rotates the signing keys?"}',))
ENGINEER = Said(pieces=("The engineer on call rotates signing keys [1].",))


@pytest.fixture(scope="module")
def server(models_folder: Path) -> Iterator[Forwarding]:
    with forwarding_server(models_folder) as server:
        yield server


@pytest.fixture(scope="module")
def notes(server: Forwarding, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    folder = tmp_path_factory.mktemp("dialogue")
    (folder / "docs").mkdir()
    for name, text in DOCUMENTS.items():
        (folder / "docs" / name).write_text(text)
    with Collection("notes", Config(home=folder / "home", host=server.url, pull=False)) as collection:
        collection.index(folder / "docs")
        yield collection


@pytest.fixture
def talk(notes: Collection, server: Forwarding) -> Dialogue:
    server.chats.clear()
    server.asked.clear()
    return Dialogue(notes, model=CHAT_MODEL)


def test_a_follow_up_is_rewritten_searched_for_and_answered(talk: Dialogue, server: Forwarding) -> None:
    """The first question goes as it is; the second by way of the model, which reads the first turn without its marks."""
    server.chats += [NINETY, REWRITTEN, ENGINEER]
    first = talk.ask("How often are signing keys rotated?")
    assert (first.standalone, first.answer.text) == (first.question, "Signing keys are rotated every ninety days [1].")
    assert Path(first.answer.citations[0].path).name == "keys.md"
    seen: list[str] = []
    pieces: list[str] = []
    second = talk.ask("And who does it?", on_standalone=lambda each: seen.append(each.question), on_text=pieces.append)
    assert seen == [second.standalone] == ["Who rotates the signing keys?"]
    assert second.question == "And who does it?"
    assert "".join(pieces) == second.answer.text == "The engineer on call rotates signing keys [1]."
    rewriting = server.asked[1]
    assert rewriting["format"]["required"] == ["question"]
    last = rewriting["messages"][-1]["content"]
    assert "Answer: Signing keys are rotated every ninety days.\n" in last
    assert last.endswith("Next question: And who does it?")
    assert "Who rotates the signing keys?" in server.asked[2]["messages"][-1]["content"]


def test_a_question_that_stands_alone_is_not_rewritten(talk: Dialogue, server: Forwarding) -> None:
    """One request for each answer, no more."""
    server.chats += [NINETY, Said(pieces=("Four hours [1].",))]
    talk.ask("How often are signing keys rotated?")
    turn = talk.ask("How long does the dough rest before baking?")
    assert turn.standalone == turn.question
    assert len(server.asked) == 2
    assert Path(turn.answer.hits[0].path).name == "bread.md"


def test_a_useless_rewriting_is_said_and_worked_around(talk: Dialogue, server: Forwarding) -> None:
    """The question is put behind the one before it."""
    server.chats += [NINETY, Said(pieces=("I think it is the mayor.",)), ENGINEER]
    talk.ask("How often are signing keys rotated?")
    turn = talk.ask("And who does it?")
    assert turn.standalone == "How often are signing keys rotated? And who does it?"
    assert "could not be made to stand alone" in turn.answer.notices[0]


def test_history_that_does_not_fit_is_said(talk: Dialogue, server: Forwarding) -> None:
    """Of seven long turns the last are read, and the notice counts the others."""
    long = Said(pieces=("Signing keys are rotated every ninety days [1]. " + "They are keys. " * 60,))
    server.chats += [long] * 7
    for number in range(7):
        talk.ask(f"How often are the signing keys of group {number} rotated?")
    server.chats += [REWRITTEN, ENGINEER]
    server.asked.clear()
    turn = talk.ask("And who does it?")
    read = server.asked[0]["messages"][-1]["content"].count("Question: How often")
    assert 1 <= read < 7
    assert f"the last {read} turns were read; {7 - read} before them were not" in " ".join(turn.answer.notices)


def test_a_server_that_dies_in_mid_answer_leaves_the_conversation_whole(talk: Dialogue, server: Forwarding) -> None:
    """What had been said is a turn; the next question works, and so does asking again, which takes its place."""
    server.chats += [NINETY, Said(pieces=("Let the dough ", "rest for"), cut=True)]
    talk.ask("How often are signing keys rotated?")
    with contextlib.suppress(ApiError):
        talk.ask("How long does the dough rest before baking?")
    assert [turn.question for turn in talk.turns][1:] == ["How long does the dough rest before baking?"]
    assert "Let the dough rest for" in talk.turns[1].answer.text
    assert Path(talk.turns[1].answer.hits[0].path).name == "bread.md"
    server.chats += [Said(pieces=("The dough rests for four hours [1].",))]
    again = talk.ask_again()
    assert again.answer.text == "The dough rests for four hours [1]."
    assert [turn.answer.text for turn in talk.turns] == [NINETY.pieces[0] + NINETY.pieces[1], again.answer.text]


def test_an_answer_that_fails_before_a_word_changes_nothing(talk: Dialogue, server: Forwarding) -> None:
    """The turns are as they were; the question that failed is the one that is asked again."""
    server.chats += [NINETY, *([Said(pieces=(), cut=True)] * 20)]  # as often as the client tries again
    talk.ask("How often are signing keys rotated?")
    before = talk.turns
    with pytest.raises(ApiError):
        talk.ask("How long does the dough rest before baking?")
    assert talk.turns is before
    server.chats.clear()
    server.chats += [Said(pieces=("Four hours [1].",))]
    assert talk.ask_again().question == "How long does the dough rest before baking?"
    assert len(talk.turns) == 2


def test_an_interrupt_keeps_what_was_said(talk: Dialogue, server: Forwarding) -> None:
    """Ctrl-C after the first piece: the turn is stopped and cites nothing; the conversation goes on."""

    def stop(_: str) -> None:
        raise KeyboardInterrupt

    server.chats += [Said(pieces=("Signing keys ", "are rotated."))]
    with pytest.raises(KeyboardInterrupt):
        talk.ask("How often are signing keys rotated?", on_text=stop)
    (turn,) = talk.turns
    assert (turn.stopped, turn.answer.text, turn.answer.citations) == (True, "Signing keys", ())
    assert "broken off" in turn.answer.notices[0]
    server.chats.clear()
    server.chats += [NINETY]
    assert not talk.ask_again().stopped
    assert len(talk.turns) == 1


def test_editing_replaces_the_last_question(talk: Dialogue, server: Forwarding) -> None:
    """The changed question is read as a follow-up of what stood before the replaced one."""
    server.chats += [NINETY, Said(pieces=("Four hours [1].",)), REWRITTEN, ENGINEER]
    talk.ask("How often are signing keys rotated?")
    talk.ask("How long does the dough rest before baking?")
    talk.ask_again("And who does it?")
    assert [turn.question for turn in talk.turns] == ["How often are signing keys rotated?", "And who does it?"]
    assert "dough" not in server.asked[2]["messages"][-1]["content"]


def test_conditions_narrow_further_turns(talk: Dialogue, server: Forwarding) -> None:
    """Only documents that meet the condition are found; a condition that cannot be read changes nothing."""
    server.chats += [Said(pieces=("I don't know.",))]
    talk.use_where("name = 'tides.txt'")
    with pytest.raises(UsageError):
        talk.use_where("name = ")
    turn = talk.ask("How often are signing keys rotated?")
    assert [Path(hit.path).name for hit in turn.answer.hits] == ["tides.txt"]
    assert not turn.answer.answered


def test_compound_questions_are_taken_apart(talk: Dialogue, server: Forwarding) -> None:
    """With a plan, both parts of a question have their passage among the first two."""
    talk.plan, talk.k = "split", 2
    server.chats.append(NINETY)
    turn = talk.ask("How often are signing keys rotated, and how long does the dough rest?")
    assert {Path(hit.path).name for hit in turn.answer.hits} == {"keys.md", "bread.md"}
    parts = "How often are signing keys rotated? | how long does the dough rest?"
    assert turn.answer.notices[0] == f"also searched for: {parts}"


def test_kept_and_taken_up_again(talk: Dialogue, server: Forwarding, notes: Collection, tmp_path: Path) -> None:
    """Turns come back as they were, sources and settings with them; the file is a plain conversation too."""
    server.chats += [NINETY, REWRITTEN, ENGINEER]
    talk.file = tmp_path / "talk.json"
    talk.k, talk.mode, talk.plan = 2, "lexical", "split"
    talk.use_where("name = 'keys.md'")
    talk.ask("How often are signing keys rotated?")
    talk.ask("And who does it?")
    talk.keep()
    plain = Conversation.load(tmp_path / "talk.json")
    assert [message["content"] for message in plain.messages][2:] == ["And who does it?", talk.turns[1].answer.text]
    other = Dialogue(notes, model=CHAT_MODEL)
    other.take_up(plain)
    assert other.turns == talk.turns
    assert (other.k, other.mode, other.where, other.plan) == (2, "lexical", "name = 'keys.md'", "split")
    assert list(tmp_path.iterdir()) == [tmp_path / "talk.json"]
    # What a plain conversation does not know it keeps.
    plain.save(tmp_path / "again.json")
    assert json.loads((tmp_path / "again.json").read_text()) == json.loads((tmp_path / "talk.json").read_text())


def test_a_plain_conversation_is_taken_up_without_sources(talk: Dialogue) -> None:
    """Its questions and answers are the history."""
    messages = [{"role": "user", "content": "Hi?"}, {"role": "assistant", "content": "Hello."}]
    talk.take_up(Conversation(model="m", messages=messages))
    assert [(turn.question, turn.answer.text, turn.answer.hits) for turn in talk.turns] == [("Hi?", "Hello.", ())]


@pytest.mark.parametrize("grounding", [{"turns": 3}, {"turns": [{}], "k": 1}, {"turns": [], "k": "x", "mode": "dense"}])
def test_turns_that_cannot_be_read(talk: Dialogue, grounding: dict[str, object]) -> None:
    """A damaged file is an error, and the dialogue stays as it was."""
    before = talk.turns
    with pytest.raises(UsageError):
        talk.take_up(Conversation(model="m", grounding=grounding))
    assert talk.turns is before


def test_what_is_missing_is_said_at_once(notes: Collection, tmp_path: Path) -> None:
    """No collection, no such model, a model that cannot chat, an empty question."""
    with Collection("nowhere", notes.config) as missing, pytest.raises(CollectionNotFound):
        Dialogue(missing, model=CHAT_MODEL)
    with pytest.raises(ModelNotFound):
        Dialogue(notes, model="no-such-model")
    with pytest.raises(UsageError, match="cannot chat"):
        Dialogue(notes, model=EMBEDDING_MODEL)
    with pytest.raises(UsageError, match="empty"):
        Dialogue(notes, model=CHAT_MODEL).ask("  ")
    with pytest.raises(UsageError, match="nothing was asked"):
        Dialogue(notes, model=CHAT_MODEL).ask_again()


def test_a_real_model_answers_turn_after_turn(talk: Dialogue, server: Forwarding) -> None:
    """A small model may rewrite badly; what is searched for still finds the right document."""
    talk.k = 1
    talk.ask("How often are signing keys rotated?")
    turn = talk.ask("And who does it?")
    assert len(server.asked) >= 3
    assert "key" in turn.standalone
    assert [Path(hit.path).name for hit in turn.answer.hits] == ["keys.md"]
    assert turn.answer.usage.prompt_tokens > 50
