#!/usr/bin/env python3
"""An aioice agent for tests: signalling as lines of JSON on standard input and output, data echoed.

In:  {"ufrag", "pwd"}, {"candidate"}, {"end"}      Out: the same, then {"connected"}
"""
import argparse
import asyncio
import json
import sys

import aioice
from aioice.ice import Candidate, TransportPolicy

parser = argparse.ArgumentParser()
parser.add_argument("--controlling", action="store_true")
parser.add_argument("--remote-lite", action="store_true")
parser.add_argument("--turn", help="HOST:PORT:USER:PASSWORD; relayed candidates only")
args = parser.parse_args()

# Tests stay on the loopback interface, which aioice leaves out.
aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]


def say(**words):
    print(json.dumps(words), flush=True)


async def listen(connection, known):
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        words = json.loads(line)
        if "ufrag" in words:
            connection.remote_username = words["ufrag"]
            connection.remote_password = words["pwd"]
            known.set()
        elif "candidate" in words:
            await connection.add_remote_candidate(Candidate.from_sdp(words["candidate"]))
        elif "end" in words:
            await connection.add_remote_candidate(None)
    await connection.close()


async def main():
    more = {}
    if args.turn:
        host, port, user, password = args.turn.split(":")
        more = dict(
            turn_server=(host, int(port)),
            turn_username=user,
            turn_password=password,
            transport_policy=TransportPolicy.RELAY,
        )
    connection = aioice.Connection(ice_controlling=args.controlling, **more)
    connection.remote_is_lite = args.remote_lite
    known = asyncio.Event()
    listening = asyncio.create_task(listen(connection, known))
    say(ufrag=connection.local_username, pwd=connection.local_password)
    await connection.gather_candidates()
    for candidate in connection.local_candidates:
        say(candidate=candidate.to_sdp())
    say(end=True)
    await known.wait()
    await connection.connect()
    say(connected=True)
    try:
        while True:
            await connection.send(await connection.recv())
    except ConnectionError:
        pass
    await listening


asyncio.run(main())
