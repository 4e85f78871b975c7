"""Writes hpack.json: header blocks as the `hpack` package codes them, which our decoder must read the same way.

Run it by hand (`python tests/vectors/make_hpack.py`) when a case is added; its output is checked in.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

from hpack import Decoder, Encoder

Fields = list[tuple[str, str]]

# RFC 7541 appendix C. The responses (C.5, C.6) live in a table of 256 bytes: the size update before them says so.
APPENDIX_C = {
    "C.2.1 literal with indexing": ["400a637573746f6d2d6b65790d637573746f6d2d686561646572"],
    "C.2.2 literal without indexing": ["040c2f73616d706c652f70617468"],
    "C.2.3 literal never indexed": ["100870617373776f726406736563726574"],
    "C.2.4 indexed": ["82"],
    "C.3 requests": [
        "828684410f7777772e6578616d706c652e636f6d",
        "828684be58086e6f2d6361636865",
        "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
    ],
    "C.4 requests, Huffman": [
        "828684418cf1e3c2e5f23a6ba0ab90f4ff",
        "828684be5886a8eb10649cbf",
        "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
    ],
    "C.5 responses": [
        "3fe101"
        "4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d54"
        "6e1768747470733a2f2f7777772e6578616d706c652e636f6d",
        "4803333037c1c0bf",
        "88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69707738666f6f3d4153444a4b48514b"
        "425a584f5157454f50495541585157454f49553b206d61782d6167653d333630303b2076657273696f6e3d31",
    ],
    "C.6 responses, Huffman": [
        "3fe101"
        "488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3",
        "4883640effc1c0bf",
        "88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f"
        "3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007",
    ],
}

INVALID = {
    "index 0": ("80", "UnknownIndex"),
    "index beyond both tables": ("be", "UnknownIndex"),
    "name index beyond both tables": ("7f00", "UnknownIndex"),
    "integer without its end": ("ff", "Truncated"),
    "integer of more than 32 bits": ("ff8080808010", "IntegerOverflow"),
    "integer of endless zeros": ("ff808080808000", "IntegerOverflow"),
    "string longer than the block": ("000561", "Truncated"),
    "value missing": ("000161", "Truncated"),
    "Huffman padding of eight bits": ("00018118ff0161", "Truncated"),
    "Huffman padding that is not ones": ("0001618118", "BadHuffman"),
    "Huffman padding of a whole byte": ("000161821fff", "BadHuffman"),
    "Huffman end of string": ("00016184ffffffff", "BadHuffman"),
    "table size over the limit": ("3fe21f", "BadSizeUpdate"),
    "table size after a field": ("8220", "BadSizeUpdate"),
}


def case(name: str, blocks: list[bytes]) -> dict[str, object]:
    """Let the package read `blocks` and write down what it read."""
    decoder = Decoder()
    read = [[[n, v] for n, v in decoder.decode(block, raw=False)] for block in blocks]
    return {"name": name, "blocks": [{"wire": b.hex(), "fields": f} for b, f in zip(blocks, read, strict=True)]}


def conversation(seed: int) -> dict[str, object]:
    """Code eight heads whose fields repeat, vary, are secret or empty, and evict each other."""
    random_ = random.Random(seed)
    encoder = Encoder()
    names = [":path", "user-agent", "accept", "x-request-id", "traceparent", "authorization", "x-long"]
    blocks = []
    for turn in range(8):
        if turn == 4:
            encoder.header_table_size = random_.choice([0, 100, 4096])
        fields: list[tuple[str, str, bool]] = [(":method", random_.choice(["GET", "POST", "PUT"]), False)]
        for name in names:
            length = random_.choice([0, 1, 7, 40, 900 if name == "x-long" else 3])
            alphabet = "".join(map(chr, range(0x20, 0x7F))) if random_.random() < 0.5 else "abc123/-"
            fields.append((name, "".join(random_.choices(alphabet, k=length)), name == "authorization"))
        blocks.append(encoder.encode(fields, huffman=random_.random() < 0.7))
    return case(f"conversation {seed}", blocks)


def main() -> None:
    """Write the file beside this one."""
    valid = [case(name, [bytes.fromhex(b) for b in blocks]) for name, blocks in APPENDIX_C.items()]
    valid += [conversation(seed) for seed in range(4)]
    every_byte = Encoder().encode([("x", bytes(range(256)).decode("latin-1").encode("latin-1"))], huffman=True)
    invalid = [{"name": name, "wire": wire, "error": error} for name, (wire, error) in INVALID.items()]
    document = {"valid": valid, "all_bytes": every_byte.hex(), "invalid": invalid}
    Path(__file__).with_name("hpack.json").write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
