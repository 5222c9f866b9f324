#!/usr/bin/env python3
"""Keeps the table of limits in ARCHITECTURE.md as the crates' limits.rs have it.

limits.py          rewrites the table
limits.py --check  fails when it is out of date
"""
import re
import sys
from pathlib import Path

CRATES = ["sdp", "stun", "ice", "dtls", "srtp", "rtp", "sctp", "peer", "capture"]
# Bounds that stand where they are used, because nothing else needs them.
ELSEWHERE = {
    "ice": {"mdns/message.rs": ["MAX_PACKET"], "agent/outbound.rs": ["MAX_PROBED_RESERVES"]},
    "dtls": {"record/mod.rs": ["MAX_READ_EPOCHS"]},
    "rtp": {"rtcp/congestion.rs": ["MAX_REPORTS"]},
}
CONSTANT = re.compile(r"(?:pub(?:\(\w+\))? )?const (\w+): [^=]+ = (.*);$")
# Fewer words than this say what a bound is, not why.
LEAST_WORDS = 9
BEGIN = "<!-- limits: made by .ci/limits.py -->\n"
END = "<!-- end of limits -->\n"


def constants(crate, file, names=None):
    """Rows of the table for the constants of a file, or those of these names."""
    doc = []
    for line in file.read_text().splitlines():
        line = line.strip()
        if line.startswith("///"):
            doc.append(line[3:].strip())
        elif match := CONSTANT.match(line):
            if names is None or match[1] in names:
                if names is None and len(" ".join(doc).split()) < LEAST_WORDS and not " ".join(doc).startswith("See "):
                    print(f"{crate}: {match[1]} says what it is, but not why that number", file=sys.stderr)
                why = re.sub(r"\[`([^`]*)`\](\([^)]*\))?", r"`\1`", " ".join(doc)).replace("|", "\\|")
                yield f"| {crate} | `{match[1]}` | `{match[2]}` | {why} |"
            doc = []
        elif line and not line.startswith("#"):
            doc = []


def rows(root):
    for crate in CRATES:
        source = root / crate / "src"
        yield from constants(crate, source / "limits.rs")
        for file, names in ELSEWHERE.get(crate, {}).items():
            yield from constants(crate, source / file, names)


def main():
    root = Path(__file__).resolve().parent.parent
    page = root / "ARCHITECTURE.md"
    text = page.read_text()
    head, rest = text.split(BEGIN)
    _, tail = rest.split(END)
    table = "| crate | constant | value | what and why |\n|---|---|---|---|\n" + "\n".join(rows(root)) + "\n"
    new = head + BEGIN + table + END + tail
    if "--check" in sys.argv:
        # Of what stands elsewhere the value is not held to the page: who changes it may not know of it.
        elsewhere = [f"| {crate} | `{name}` |" for crate, files in ELSEWHERE.items() for names in files.values() for name in names]
        kept = lambda page: [line for line in page.splitlines() if not line.startswith(tuple(elsewhere))]
        if kept(new) != kept(text):
            sys.exit("ARCHITECTURE.md: the table of limits is out of date; run .ci/limits.py")
    else:
        page.write_text(new)


main()
