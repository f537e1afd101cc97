"""Tells the language of a text by its commonest words, for documents that do not state it.

In: a text. Out: a code of ISO 639-1, or an empty string where the text is too short or too mixed to tell.

The share of function words is compared (Grefenstette 1995, "Comparing two language identification schemes"): a word
that several languages have counts less, and a language has to be well ahead of the next one by the words that the two
do not share. That takes no model, no library and a millisecond a document. The languages are those of which a search
knows the endings, and their neighbours, which would be taken for them; some scripts tell the language by themselves.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from dataclasses import replace

from pipeline.types import Document

AUTO, NONE = "auto", "none"
NOT_PROSE = frozenset({"code", "python", "notebook", "csv", "json", "xlsx", "archive"})
"""Formats whose words are names, or whose language is that of a program."""

SAMPLED = 3
SAMPLE = 4000
"""Characters looked at, in so many places: a document may begin with a licence, or a quotation."""

LEAST_WORDS = 20
LEAST_SHARE = 0.05
AHEAD = 1.5
"""How often the words that only one of two languages has must occur, over those that only the other has."""

LEAST_SCRIPT = 0.6
"""The share of a text's letters that has to be of a script."""

IDEOGRAPH = 3
"""Letters of another script that take up as much of a text as one of these characters."""

WORDS = {
    "ca": "el la els les de del dels i que en per amb una un és no al als com més aquest aquesta són o però també "
    "pot ha si quan perquè seva seu això des fins molt està",
    "cs": "a v na se je že s z do o i to k pro ve jako za od po jeho nebo by které který která byl byla není jsou "
    "ale tak podle jen při má také více pouze lze",
    "da": "og i at det er en den til på som af for med de et ikke der har vi eller fra han om kan var blev skal "
    "men efter hvor ved også kun bliver jeg mig hvis noget ikke",
    "de": "der die und das den von zu ist mit des im dem nicht ein eine sich auf für auch als werden wird es bei aus "
    "sind wie oder nach einer kann wenn nur durch wurde zum zur noch",
    "en": "the of and to in a is that for it with as on be this are by an not or from at which can if was has have "
    "will you all when but they its there been their",
    "eo": "la de kaj en estas al ne por kun ke kiu el oni sed tio pri aŭ ĉi li estis kiel ĝi dum sur mi se ĉiuj "
    "povas kiuj nur per havas",
    "es": "de la que el en y los las del se por con una un para no es al lo como más su este esta son o pero entre "
    "puede si sobre también ha sus cuando está hay desde sin",
    "et": "ja on ei et see kui oli ta mis ka aga või selle seda kes oma nii mida siis mitte pole kuid välja võib "
    "saab kõik olla peale enne ning mille selleks",
    "eu": "eta da bat ez du hau dira ere baina izan dute zuen egin duen edo zen bere hori beste behar den gisa "
    "dago ditu bai baino hemen hau izango daiteke",
    "fi": "ja on ei että se oli hän mutta ovat joka kuin myös tai voi kun sen ole mitä niin jos ne tämä vain jotka "
    "sitä tämän kanssa voidaan mukaan ollut sekä olla hänen mikä",
    "fr": "de la le et les des en un une du que est pour qui dans par sur au plus ne pas ce il se avec sont ou à aux "
    "été cette son ses être mais si leur peut comme",
    "ga": "an agus na ar is i a le go do bhí sé tá ag air gur nach ní níl chun leis don den ach nó seo sin mar "
    "bheith féidir atá",
    "hu": "a az és hogy nem is egy ez volt meg de van csak mint el vagy azt már még amely ki kell ha szerint után "
    "minden lehet ezt nincs között lesz sem majd",
    "id": "yang dan di dengan untuk pada dari dalam ini itu tidak adalah ke akan atau oleh juga sebagai dapat ada "
    "bisa karena telah lebih mereka tersebut kita anda jika saat",
    "it": "di e che la il un per una in non del con della è i le si da dei al sono come più nel alla anche lo delle "
    "gli se o ha può questo questa essere dal",
    "lt": "ir yra kad į su iš ne tai bet kaip buvo ar per apie nuo jis tik dar būti kuris po gali arba prie už "
    "jo jau nėra šis jei kai jos kurie",
    "nl": "de het een van en in is dat op te voor met zijn niet aan er die ook als bij door naar om uit of maar "
    "wordt worden kan deze dit heeft nog tot over hebben",
    "no": "og i er det på som en til av for at med de ikke et den har om var fra vi kan men eller seg etter blir "
    "ble skal så bare også hvis når være jeg noe hvor ved",
    "pl": "w i na z się nie do to że jest o po za od przez jak ale dla jego oraz co tym lub są był może tylko "
    "które który być jako ich nad czy przy",
    "pt": "de a o que e do da em um para com não uma os no se na por mais as dos como mas ao das à seu sua ou é "
    "são ser foi pode este esta também pelo pela",
    "ro": "de și în a la cu nu este o care că pe un din mai pentru sunt se au fi sau dar ca sa prin ce ale lui "
    "fost după poate această fără dacă când",
    "sv": "och i att det som en på är av för med till den har de inte om ett men var jag från vi så kan när eller "
    "efter vid ska också sig blir skulle han finns över",
    "tr": "ve bir bu için ile de da olarak olan çok daha gibi ne en kadar değil sonra her o ama var ya ki veya "
    "ise tarafından olduğu içinde yok bulunan göre",
    "af": "die van en in het is nie vir met wat te dit op om word aan sal kan jy deur as ook hierdie hulle maar "
    "moet nog een by hê gebruik",
    "ar": "في من على إلى أن هذا التي هذه عن مع أو لا ما هو كان الذي بعد هي ذلك بين كل لم قد إذا عند غير حيث",
    "bg": "на за да се от не са по като до или че със това при която който може му ще само след но най беше ако "
    "има тази този",
    "fa": "در به از که این را با است برای آن یک شده خود تا می کرد بر هم بود شود یا ها های باید نیست اگر اند پس",
    "gl": "que do da en unha un para non dos das na no por máis como ao os se é son pode esta este ou coa co foi "
    "ten pola polo sobre tamén",
    "hi": "के का की में है और से को पर इस कि यह ने एक हैं लिए नहीं भी तो था जो ही कर करने या किया",
    "hr": "je se na da za od su kao koji koja koje ili nije sa iz ali što bi biti po ako samo kod može ovaj ova "
    "nakon prema još između",
    "is": "og að er til sem ekki við með það en um fyrir af hann var eða frá þú hefur eru þetta sé ef þegar úr "
    "verið hafa þess þessi",
    "lv": "un ir ar no uz par kas lai vai ka nav bet tika kā pie arī pēc tas šo tiek var līdz tā būs ja jau tikai "
    "kad viņš",
    "mk": "на во да за се од не со како што кој која се или по ќе може има ова тоа при ако само не но ги го му",
    "mr": "आहे आणि या हे की ते आहेत नाही साठी होते एक मध्ये तर त्या पण करा केले असे हा ही जर किंवा",
    "ne": "छ र को मा लागि हो यो गर्न छन् पनि भएको गरिएको छैन तपाईं वा एक गर्नुहोस् गरेको यस तर हुन्छ",
    "ru": "и в не на что с по как это из для от к у за так же то о или но его при все был быть только если может "
    "также до нет который",
    "sk": "je na sa že do si za od pri ako nie bol pre alebo aby ktorý ktorá ktoré sú ale tak podľa len už tiež "
    "bola bolo možno nebol jeho po",
    "sl": "je in na se za da so ki ne pri kot od po tudi ali bi iz če pa še bil do ni lahko ter kar med ima bo "
    "samo tega",
    "sr": "и је у да се на за од су као који која са или није што би ће из али по може ако само код не бити",
    "uk": "і в не на що з та до як за для від це або у про його але є при так бути був якщо також цього може які "
    "лише її немає",
    "vi": "và của là có không được cho các một trong với để này người đã từ khi những như trên bạn về tại hoặc "
    "phải nếu sẽ",
}

SCRIPTS = {
    "el": "\u0370-\u03ff\u1f00-\u1fff",
    "he": "\u0590-\u05ff",
    "hy": "\u0530-\u058f",
    "ja": "\u3040-\u30ff",
    "ko": "\uac00-\ud7af\u1100-\u11ff",
    "ta": "\u0b80-\u0bff",
    "th": "\u0e00-\u0e7f",
    "zh": "\u3400-\u4dbf\u4e00-\u9fff",
}
"""What of a script is not told apart further is taken for its commonest language, as a search takes its words."""

TELLS_JAPANESE = 0.1
"""The share of kana from which on a text with Chinese characters is Japanese."""

UNSPACED = ("ja", "ko", "zh")

_WORD = re.compile("(?:[^\\W\\d_]|[\u0900-\u0903\u093a-\u094f])+")  # vowel signs of Devanagari are no letters
_ASCII_WORD = re.compile("[a-z]+")
"""What `_WORD` finds in lower case without other letters, several times as fast."""
_OF_SCRIPT = {code: re.compile(f"[{characters}]") for code, characters in SCRIPTS.items()}
_WORDS = {
    code: frozenset(each for each in words.split() if len(each) > 1 or not each.isascii())
    for code, words in WORDS.items()
}
_LETTERS = frozenset(string.ascii_lowercase)
_LANGUAGES_OF: dict[str, list[str]] = {}
for _code, _words in _WORDS.items():
    for _word in _words:
        _LANGUAGES_OF.setdefault(_word, []).append(_code)


def with_language(document: Document, language: str) -> Document:
    """`document` with a language in its metadata, where it is prose and states none itself.

    `language` is the one that all such documents are in, `AUTO` to tell it from the words, or `NONE` to leave it open.
    """
    if language == NONE or "language" in document.metadata or document.format in NOT_PROSE:
        return document
    code, source = (language_of_text(document.text), "words") if language == AUTO else (language, "collection")
    if not code:
        return document
    return replace(document, metadata={**document.metadata, "language": code, "language_from": source})


def language_of_text(text: str) -> str:
    """The code of the language that most of `text` is in, or an empty string."""
    sample = _sample(text)
    return _by_script(sample) or _by_words(sample)


def _sample(text: str) -> str:
    if len(text) <= SAMPLED * SAMPLE:
        return text
    step = (len(text) - SAMPLE) // (SAMPLED - 1)
    return "\n".join(text[at * step : at * step + SAMPLE] for at in range(SAMPLED))


def _by_script(sample: str) -> str:
    if sample.isascii():
        return ""
    letters = sum(map(str.isalpha, sample))
    if letters < LEAST_WORDS:
        return ""
    found = {code: len(pattern.findall(sample)) for code, pattern in _OF_SCRIPT.items()}
    if found["ja"] >= TELLS_JAPANESE * (found["ja"] + found["zh"]):
        found["ja"] += found.pop("zh")
    others = letters - sum(found.get(code, 0) for code in UNSPACED)
    code, most = max(found.items(), key=lambda each: each[1])
    if code in UNSPACED:
        most, letters = IDEOGRAPH * most, others + IDEOGRAPH * (letters - others)
    return code if most >= LEAST_SCRIPT * letters else ""


def _by_words(sample: str) -> str:
    lower = sample.lower()
    words = dict(Counter((_ASCII_WORD if lower.isascii() else _WORD).findall(lower)))
    for letter in words.keys() & _LETTERS:
        del words[letter]
    total = sum(words.values())
    if total < LEAST_WORDS:
        return ""
    telling = words.keys() & _LANGUAGES_OF.keys()
    shares: dict[str, float] = {}
    for word in telling:
        share = words[word] / len(_LANGUAGES_OF[word])
        for code in _LANGUAGES_OF[word]:
            shares[code] = shares.get(code, 0.0) + share
    ranked = sorted(shares.items(), key=lambda each: (-each[1], each[0]))
    (best, most), (second, _) = [*ranked, ("", 0.0), ("", 0.0)][:2]
    if most < LEAST_SHARE * total:
        return ""

    def only(code: str, other: str) -> int:
        """How often words occur that `code` has and `other` has not."""
        own, others = _WORDS.get(code, frozenset()), _WORDS.get(other, frozenset())
        return sum(words[word] for word in telling if word in own and word not in others)

    return best if only(best, second) >= AHEAD * only(second, best) else ""
