#!/usr/bin/env python3
"""A libnice agent for tests: signalling as lines of JSON on standard input and output, data echoed.

In:  {"ufrag", "pwd"}, {"candidate"}, {"end"}, {"restart"}
Out: {"ufrag", "pwd"}, {"candidate"}, {"end"}, {"connected"}
"""
import argparse
import ctypes
import json
import os

import gi

gi.require_version("Nice", "0.1")
from gi.repository import GLib, Nice  # noqa: E402

parser = argparse.ArgumentParser()
parser.add_argument("--controlling", action="store_true")
parser.add_argument("--remote-lite", action="store_true")
parser.add_argument("--lite", action="store_true")
parser.add_argument("--turn", help="HOST:PORT:USER:PASSWORD; relayed candidates only")
args = parser.parse_args()

loop = GLib.MainLoop()
options = Nice.AgentOption.ICE_TRICKLE
if args.lite:
    options |= Nice.AgentOption.LITE_MODE
agent = Nice.Agent.new_full(loop.get_context(), Nice.Compatibility.RFC5245, options)
agent.set_property("controlling-mode", args.controlling)
agent.set_property("ice-tcp", False)
agent.set_property("upnp", False)
address = Nice.Address.new()
address.set_from_string("127.0.0.1")
agent.add_local_address(address)
stream = agent.add_stream(1)
agent.set_stream_name(stream, "application")
if args.turn:
    host, port, user, password = args.turn.split(":")
    agent.set_relay_info(stream, 1, host, int(port), user, password, Nice.RelayType.UDP)
    agent.set_property("force-relay", True)


def say(**words):
    print(json.dumps(words), flush=True)


def credentials():
    _, ufrag, pwd = agent.get_local_credentials(stream)
    say(ufrag=ufrag, pwd=pwd)


def told(agent, candidate):
    if args.turn and candidate.type != Nice.CandidateType.RELAYED:
        return
    line = agent.generate_local_candidate_sdp(candidate)
    say(candidate=line.removeprefix("a=candidate:"))


def component_state(agent, stream_id, component_id, state):
    if state == Nice.ComponentState.READY:
        say(connected=True)
    elif state == Nice.ComponentState.FAILED:
        say(failed=True)


# Not reachable by introspection: octets in and out.
RECEIVED = ctypes.CFUNCTYPE(
    None,
    ctypes.c_void_p,
    ctypes.c_uint,
    ctypes.c_uint,
    ctypes.c_uint,
    ctypes.c_void_p,
    ctypes.c_void_p,
)
library = ctypes.CDLL("libnice.so.10")
library.nice_agent_attach_recv.argtypes = [
    ctypes.c_void_p,
    ctypes.c_uint,
    ctypes.c_uint,
    ctypes.c_void_p,
    RECEIVED,
    ctypes.c_void_p,
]
library.nice_agent_send.argtypes = [
    ctypes.c_void_p,
    ctypes.c_uint,
    ctypes.c_uint,
    ctypes.c_uint,
    ctypes.c_char_p,
]


@RECEIVED
def received(agent_pointer, stream_id, component_id, length, data, _):
    octets = ctypes.string_at(data, length)
    library.nice_agent_send(agent_pointer, stream_id, component_id, length, octets)


unfinished = b""


def heard(descriptor, condition):
    """Not through sys.stdin: lines in its buffer would not wake the loop."""
    global unfinished
    octets = os.read(descriptor, 65536)
    if not octets:
        loop.quit()
        return False
    *lines, unfinished = (unfinished + octets).split(b"\n")
    for line in lines:
        act(json.loads(line))
    return True


def act(words):
    if "ufrag" in words:
        agent.set_remote_credentials(stream, words["ufrag"], words["pwd"])
    elif "candidate" in words:
        candidate = agent.parse_remote_candidate_sdp(stream, "a=candidate:" + words["candidate"])
        agent.set_remote_candidates(stream, 1, [candidate])
    elif "end" in words:
        agent.peer_candidate_gathering_done(stream)
    elif "restart" in words:
        agent.restart_stream(stream)
        credentials()
        for candidate in agent.get_local_candidates(stream, 1):
            told(agent, candidate)
        say(end=True)


agent.connect("new-candidate-full", told)
agent.connect("candidate-gathering-done", lambda *_: say(end=True))
agent.connect("component-state-changed", component_state)
library.nice_agent_attach_recv(hash(agent), stream, 1, None, received, None)
credentials()
agent.gather_candidates(stream)
GLib.unix_fd_add_full(GLib.PRIORITY_DEFAULT, 0, GLib.IOCondition.IN | GLib.IOCondition.HUP, heard)
loop.run()
