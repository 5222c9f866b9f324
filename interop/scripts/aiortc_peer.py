"""aiortc against the puppet example, both roles: a data channel, audio and video, there and back.

Usage: aiortc_peer.py PATH-OF-PUPPET. Exit code 0: all well; 77: aiortc is not installed.
"""

import asyncio
import json
import sys

try:
    from aiortc import RTCPeerConnection, RTCSessionDescription
    from aiortc.mediastreams import AudioStreamTrack, VideoStreamTrack
except ImportError as error:
    print(f"skipped: {error}; `pip install aiortc` provides it")
    sys.exit(77)

FRAMES = 20
PATIENCE = 40


class Puppet:
    """Our end: one command at a time, each answered by one line."""

    @classmethod
    async def start(cls, path):
        self = cls()
        self.process = await asyncio.create_subprocess_exec(
            path, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=1 << 20
        )
        return self

    async def do(self, what, **more):
        line = json.dumps({"do": what, **more}) + "\n"
        self.process.stdin.write(line.encode())
        await self.process.stdin.drain()
        answer = json.loads(await self.process.stdout.readline())
        if "error" in answer:
            raise AssertionError(f"puppet: {what}: {answer['error']}")
        return answer.get("ok")

    async def whole_description(self):
        """The local description once it has all candidates."""
        while True:
            local = await self.do("local")
            if "a=end-of-candidates" in local["sdp"]:
                return local
            await asyncio.sleep(0.02)

    async def end(self):
        self.process.stdin.close()
        assert await self.process.wait() == 0, "the puppet failed"


async def frames(track, wanted):
    """Waits for so many decoded frames."""
    for _ in range(wanted):
        await track.recv()
    return wanted


async def session(path, offerer):
    puppet = await Puppet.start(path)
    await puppet.do("new", echo=True)
    pc = RTCPeerConnection()
    tracks = asyncio.Queue()
    echoed = asyncio.get_running_loop().create_future()
    pc.on("track", tracks.put_nowait)

    def talk(channel):
        @channel.on("message")
        def on_message(message):
            if not echoed.done():
                echoed.set_result(message)

        @channel.on("open")
        def on_open():
            channel.send("hello from aiortc")

        if channel.readyState == "open":
            on_open()

    pc.addTrack(AudioStreamTrack())
    pc.addTrack(VideoStreamTrack())
    if offerer == "aiortc":
        talk(pc.createDataChannel("chat"))
        await pc.setLocalDescription(await pc.createOffer())
        await puppet.do("set_remote", type="offer", sdp=pc.localDescription.sdp)
        for n in (0, 1):
            await puppet.do("set_direction", n=n, direction="sendrecv")
        await puppet.do("set_local")
        answer = await puppet.whole_description()
        await pc.setRemoteDescription(RTCSessionDescription(answer["sdp"], "answer"))
    else:
        pc.on("datachannel", talk)
        await puppet.do("add_channel", label="chat")
        for kind in ("audio", "video"):
            await puppet.do("add_transceiver", kind=kind, direction="sendrecv")
        await puppet.do("set_local")
        offer = await puppet.whole_description()
        await pc.setRemoteDescription(RTCSessionDescription(offer["sdp"], "offer"))
        await pc.setLocalDescription(await pc.createAnswer())
        await puppet.do("set_remote", type="answer", sdp=pc.localDescription.sdp)

    if offerer == "aiortc":
        message = await asyncio.wait_for(echoed, PATIENCE)
        assert message == "hello from aiortc", message
    else:
        # The channel that the puppet opened hears what aiortc says on it.
        for _ in range(PATIENCE * 20):
            news = await puppet.do("news")
            heard = [n["text"] for n in news if n["type"] == "message"]
            if heard:
                assert heard == ["hello from aiortc"], heard
                break
            await asyncio.sleep(0.05)
        else:
            raise AssertionError("the message never came")
        assert await puppet.do("say", text="hello from tincan") == 1
        message = await asyncio.wait_for(echoed, PATIENCE)
        assert message == "hello from tincan", message

    counts = {}
    for _ in range(2):
        track = await asyncio.wait_for(tracks.get(), PATIENCE)
        counts[track.kind] = await asyncio.wait_for(frames(track, FRAMES), PATIENCE)
    received = await puppet.do("received")
    packets = [p["packets"] for p in received["packets"]]
    assert len(packets) == 2 and min(packets) >= FRAMES, received
    # Both ends count the same packets, but for what is under way.
    sent = {s.ssrc: s for s in (await pc.getStats()).values() if s.type == "outbound-rtp"}
    ours = await puppet.do("stats")
    for stream in (s for s in ours if s["type"] == "inbound-rtp" and s["packetsReceived"]):
        theirs = sent[stream["ssrc"]].packetsSent
        assert abs(theirs - stream["packetsReceived"]) <= 20, (theirs, stream)
    await pc.close()
    await puppet.end()
    return f"{offerer} offers: data both ways, {counts['audio']} frames of audio and {counts['video']} of video came back, {packets} packets"


async def main():
    for offerer in ("aiortc", "tincan"):
        print(await asyncio.wait_for(session(sys.argv[1], offerer), 120), flush=True)


asyncio.run(main())
