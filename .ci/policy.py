#!/usr/bin/env python3
"""What we depend on: licences, duplicates, sources, and the oldest compiler each dependency promises to work with.

Needs no network where the dependencies have been fetched before. For the crates that we publish, with all features,
and apart from those for what tests and benchmarks need besides.
"""
import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Licences that whoever embeds us under MIT or Apache-2.0 can keep to by naming them.
LICENCES = {
    "MIT", "MIT-0", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD-2-Clause", "BSD-3-Clause", "ISC", "Zlib",
    "Unicode-3.0", "CC0-1.0", "Unlicense",
}

# For tests, examples and benchmarks only: nothing of these is in what an embedder builds.
TEST_LICENCES = LICENCES | {"MPL-2.0"}

# Crates that published code may contain in several versions, and why.
DUPLICATES = {
    "getrandom": "ring 0.17 has 0.2, rand 0.10 has 0.4; both ask the system",
    "syn": "runs while building only: procedural macros are moving from 2 to 3",
    "untrusted": "ring has 0.9, aws-lc-rs 0.7, which is built only where it is asked for",
    "windows-sys": "on Windows only: ring and socket2 have different ones, which are lists of constants",
}

# The most crates that one of ours may bring along without the features that are off by default, neither ours counted nor
# those that run while building only: a guard against growing by accident. Raise it knowingly.
MOST = {
    "tincan-sdp": 4, "tincan-stun": 32, "tincan-ice": 36, "tincan-dtls": 40, "tincan-srtp": 24, "tincan-rtp": 10,
    "tincan-sctp": 16, "tincan-sim": 8, "tincan-capture": 5,
}


def metadata(*flags):
    command = ["cargo", "metadata", "--format-version", "1", "--locked", *flags]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr)
    return json.loads(done.stdout)


def permits(expression, allowed):
    """Whether an SPDX expression (or the old form with a slash) can be kept to with these licences."""
    tokens = re.findall(r"\(|\)|[\w.+-]+", expression.replace("/", " OR "))
    at = 0

    def peek():
        return tokens[at] if at < len(tokens) else None

    def atom():
        nonlocal at
        token = tokens[at]
        at += 1
        if token == "(":
            value = any_of()
            at += 1
            return value
        if peek() == "WITH":
            token = f"{token} WITH {tokens[at + 1]}"
            at += 2
        return token in allowed

    def all_of():
        nonlocal at
        value = atom()
        while peek() == "AND":
            at += 1
            value = atom() and value
        return value

    def any_of():
        nonlocal at
        value = all_of()
        while peek() == "OR":
            at += 1
            value = all_of() or value
        return value

    return any_of()


def reached(meta, names, kinds):
    """Ids of all packages that those of these names need by dependencies of these kinds."""
    nodes = {n["id"]: n for n in meta["resolve"]["nodes"]}
    members = {p["id"] for p in meta["packages"] if p["name"] in names}
    seen, todo = set(members), list(members)
    while todo:
        node = todo.pop()
        for dep in nodes[node]["deps"]:
            wanted = node not in members or any(k["kind"] in kinds for k in dep["dep_kinds"])
            # What a dependency needs for its own tests is no need of ours.
            normal = any(k["kind"] in (None, "build") for k in dep["dep_kinds"])
            if wanted and (normal or node in members) and dep["pkg"] not in seen:
                seen.add(dep["pkg"])
                todo.append(dep["pkg"])
    return seen


def brings(name):
    """Names of all packages that run in a program that embeds this one with its default features. `cargo tree` chooses
    features for one package; `cargo metadata` adds up what all of the workspace ask for."""
    command = ["cargo", "tree", "--locked", "--package", name, "--edges", "normal,no-proc-macro", "--prefix", "none"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr)
    return {line.split()[0] for line in done.stdout.splitlines() if line}


def version(text):
    return tuple(int(part) for part in (text + ".0").split(".")[:2])


def main():
    faults = []
    meta = metadata("--all-features")
    packages = {p["id"]: p for p in meta["packages"]}
    workspace = set(meta["workspace_members"])
    ours = {packages[i]["name"] for i in meta["workspace_default_members"]}
    published = reached(meta, ours, (None, "build"))

    for id_, package in packages.items():
        if id_ in workspace:
            continue
        name = f"{package['name']} {package['version']}"
        licence = package["license"]
        allowed = LICENCES if id_ in published else TEST_LICENCES
        if not licence:
            faults.append(f"{name}: names no licence")
        elif not permits(licence, allowed):
            faults.append(f"{name}: licence {licence}")
        if not (package["source"] or "").startswith("registry+"):
            faults.append(f"{name}: comes from {package['source'] or 'a path'}")

    versions = {}
    for id_ in published:
        versions.setdefault(packages[id_]["name"], set()).add(packages[id_]["version"])
    for name, found in sorted(versions.items()):
        if len(found) > 1 and name not in DUPLICATES:
            faults.append(f"{name}: {len(found)} versions, {', '.join(sorted(found))}")
    for name in DUPLICATES:
        if len(versions.get(name, ())) < 2:
            faults.append(f"{name}: no duplicate any more, strike it from the list")

    oldest = version(packages[next(iter(meta["workspace_default_members"]))]["rust_version"])
    silent = 0
    for id_ in published - workspace:
        promised = packages[id_].get("rust_version")
        silent += not promised
        if promised and version(promised) > oldest:
            faults.append(f"{packages[id_]['name']} {packages[id_]['version']}: needs Rust {promised}")

    for name, most in MOST.items():
        brought = brings(name) - {packages[i]["name"] for i in workspace}
        print(f"{name} brings {len(brought)} crates")
        if len(brought) > most:
            faults.append(f"{name}: brings {len(brought)} crates, more than {most}")

    for fault in sorted(faults):
        print(fault)
    print(
        f"{len(published - workspace)} crates in what we publish, {len(packages) - len(workspace)} with tests; "
        f"{silent} of the former promise no compiler version; {len(faults)} faults"
    )
    sys.exit(1 if faults else 0)


main()
