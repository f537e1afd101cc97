"""The language of prose that states none, told by its words; what a document or a collection says comes first."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from pipeline.read import read_document, with_language
from pipeline.read.language import language_of_text

TEXTS = {
    "cs": "Klíče se mění každých devadesát dní, ale starý klíč ještě platí po dobu jednoho týdne. Kdo má službu, ten "
    "je také vymění, a to podle pravidel, která byla schválena při poslední kontrole.",
    "da": "Nøglerne bliver skiftet hver tredje måned af den, der har vagt, men den gamle nøgle kan også bruges i en uge "
    "efter. Hvis noget går galt, skal jeg have det at vide med det samme, så vi kan hjælpe.",
    "de": "Die Schlüssel werden alle neunzig Tage vom Bereitschaftsdienst getauscht. Der alte Schlüssel bleibt noch eine "
    "Woche gültig, und wenn er nicht mehr gebraucht wird, wird er aus dem Speicher gelöscht.",
    "en": "Signing keys are rotated every ninety days by the engineer on call. The old key stays valid for one week, and "
    "when it is no longer needed it is removed from the store by the same person.",
    "es": "Las claves se cambian cada noventa días. La clave antigua sigue siendo válida durante una semana más, y cuando "
    "ya no se necesita se borra del almacén por la misma persona que la ha cambiado.",
    "fr": "Les clés sont renouvelées tous les trois mois par la personne qui est de garde. L'ancienne clé reste valable "
    "pendant une semaine, et elle est ensuite retirée du magasin par la même personne.",
    "it": "Le chiavi sono cambiate ogni tre mesi dalla persona che è di turno. La vecchia chiave resta valida per una "
    "settimana, e poi viene tolta dal deposito della stessa persona che l'ha cambiata.",
    "nl": "De sleutels worden om de drie maanden vervangen door degene die dienst heeft. De oude sleutel blijft nog een "
    "week geldig en wordt daarna uit de opslag gehaald, maar niet als er nog iets mee moet.",
    "no": "Nøklene blir skiftet hver tredje måned av den som har vakt, men den gamle nøkkelen kan også brukes i en uke "
    "etter. Hvis noe går galt, skal jeg ha beskjed med en gang, så vi kan hjelpe hverandre.",
    "pl": "Klucze są wymieniane co trzy miesiące przez osobę, która ma dyżur. Stary klucz jest ważny jeszcze przez "
    "tydzień, a po tym czasie nie można go już używać, więc został usunięty ze składu.",
    "pt": "As chaves são trocadas a cada três meses pela pessoa que está de serviço. A chave antiga continua válida por "
    "uma semana, e depois não pode mais ser usada, pois foi retirada do depósito.",
    "ru": "Ключи меняются каждые три месяца. Старый ключ действует ещё неделю, и если он больше не нужен, то его удаляют "
    "из хранилища. Это делает тот, кто дежурит, или его сменщик, но не позже пятницы.",
    "sv": "Nycklarna byts var tredje månad av den som har jour, men den gamla nyckeln kan också användas i en vecka till. "
    "Om något går fel ska jag få veta det med en gång, så att vi kan hjälpa varandra.",
    "uk": "Ключі змінюють кожні три місяці. Старий ключ діє ще тиждень, і якщо він більше не потрібен, то його видаляють "
    "зі сховища. Це робить той, хто чергує, або його змінник, але не пізніше за п'ятницю.",
    "ja": "鍵は九十日ごとに交換されます。古い鍵はあと一週間だけ使えます。",
    "zh": "钥匙每九十天更换一次，旧钥匙在一周内仍然有效，之后由值班人员删除。",
    "ko": "열쇠는 구십 일마다 바뀝니다. 옛 열쇠는 한 주 동안 더 쓸 수 있습니다.",
    "el": "Τα κλειδιά αλλάζουν κάθε τρεις μήνες από αυτόν που έχει βάρδια.",
    "hi": "चाबियाँ हर तीन महीने में बदली जाती हैं। पुरानी चाबी एक हफ्ते तक और काम करती है, लेकिन उसके बाद वह नहीं चलती "
    "और उसे हटा दिया जाता है। यह काम वही करता है जो उस दिन काम पर है।",
}


@pytest.mark.parametrize("code", TEXTS)
def test_language_is_told_by_the_words(code: str) -> None:
    """A few sentences are enough, neighbours such as Danish and Norwegian, Russian and Ukrainian included."""
    assert language_of_text(TEXTS[code]) == code


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Keys are rotated.",
        "x = f(y) + g(z); " * 50,
        "12 34 56 " * 100,
        TEXTS["de"] + TEXTS["en"],
        "lorem qux " * 90,
    ],
    ids=["nothing", "a few words", "formulas", "numbers", "two languages", "no words that are known"],
)
def test_what_cannot_be_told_is_left_open(text: str) -> None:
    """Too little, no prose, or two languages in equal parts: no language rather than a wrong one."""
    assert language_of_text(text) == ""


def test_a_long_document_is_judged_from_all_over() -> None:
    """An English licence before a German book does not make the book English."""
    assert language_of_text(TEXTS["en"] * 20 + TEXTS["de"] * 400) == "de"


@pytest.mark.parametrize(
    ("name", "text", "setting", "expected"),
    [
        ("a.md", TEXTS["de"], "auto", {"language": "de", "language_from": "words"}),
        ("a.md", TEXTS["de"], "none", {}),
        ("a.md", "Kurz.", "de", {"language": "de", "language_from": "collection"}),
        ("a.md", f"---\nlang: fr\n---\n{TEXTS['de']}", "auto", {"language": "fr"}),
        ("a.csv", f"wort\n{TEXTS['de']}\n", "auto", {}),
        ("a.py", f"# {TEXTS['de']}\n", "de", {}),
    ],
)
def test_what_is_stated_comes_first(
    tmp_path: Path, name: str, text: str, setting: str, expected: Mapping[str, str]
) -> None:
    """Front matter over the words; the collection's language for what states none; tables and code are left alone."""
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    metadata = with_language(read_document(path), setting).metadata
    assert {key: value for key, value in metadata.items() if key.startswith("language")} == expected
