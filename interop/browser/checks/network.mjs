// Paths that are not plain UDP between host candidates, and the demo's other ways of connecting.

/** A demo of its own with these options, for as long as `work` takes. */
async function withDemo(program, options, work) {
  const demo = await program("demo", ["--listen", "127.0.0.1:0", ...options], /open (http:\S+)/);
  try {
    return await work(demo.matched[1]);
  } catch (error) {
    throw new Error(`${error.message}\n${demo.output().split("\n").slice(-4).join("\n")}`);
  } finally {
    await demo.stop();
  }
}

/** Data and, if wanted, media through a connection; what the browser says of its path. */
const connect = async ({ page, url, policy, only, wantMedia, wantFrames = 20 }) => page.evaluate(async ({ url, policy, only, wantMedia, wantFrames }) => {
  const ice = await (await fetch(new URL("/ice", url))).json();
  if (only) for (const server of ice.iceServers) server.urls = server.urls.filter(u => u.includes(only));
  const pc = globalThis.call = new RTCPeerConnection({ ...ice, iceTransportPolicy: policy ?? "all" });
  const errors = [];
  pc.onicecandidateerror = e => errors.push(`${e.errorCode} ${e.errorText} ${e.url}`);
  const c = pc.createDataChannel("d"); c.binaryType = "arraybuffer";
  const stream = wantMedia && await media();
  for (const t of stream ? stream.getTracks() : []) pc.addTrack(t, stream);
  await offerTo(pc, new URL("/offer", url).href).catch(e => { throw new Error(`${e.message} ${errors}`); });
  await within(opened(c), 20000, `channel ${errors}`);
  for (let i = 0; i < 20; i++) {
    const m = random(i * 700).buffer;
    if (!same(m, await roundTrip(c, m))) throw new Error(`data: message ${i} came back changed`);
  }
  const frames = wantMedia ? await grows(pc, "inbound-rtp", "video", "framesDecoded", wantFrames, 20000) : 0;
  const stats = await pc.getStats();
  const by = id => stats.get(id);
  let transport; stats.forEach(s => { if (s.type === "transport") transport = s; });
  const pair = by(transport.selectedCandidatePairId), local = by(pair.localCandidateId), remote = by(pair.remoteCandidateId);
  for (const t of stream ? stream.getTracks() : []) t.stop();
  const out = {
    frames, local: local.candidateType, protocol: local.protocol, relayProtocol: local.relayProtocol, remote: remote.candidateType,
    tls: transport.tlsVersion, cipher: transport.dtlsCipher, group: transport.tlsGroup,
    offer: pc.localDescription.sdp, answer: pc.remoteDescription.sdp,
  };
  pc.close();
  return out;
}, { url, policy, only, wantMedia, wantFrames });

const relay = transport => ({
  seconds: 90,
  async run({ page, program, expect }) {
    return withDemo(program, ["--turn"], async url => {
      const got = await connect({ page, url, policy: "relay", only: `transport=${transport}`, wantMedia: true });
      expect(got.local === "relay" && got.relayProtocol === transport, "ICE", `went by ${got.local} over ${got.relayProtocol}`);
      // What the page closed is given back at once.
      const end = Date.now() + 10000;
      for (;;) {
        const { relays } = await (await fetch(new URL("/stats", url))).json();
        if (relays === 0) break;
        expect(Date.now() < end, "TURN", `${relays} allocations are left`);
        await new Promise(ok => setTimeout(ok, 50));
      }
      return `${got.frames} frames`;
    });
  },
});

export const checks = {
  "relay only over UDP through the demo's TURN server, data and media": relay("udp"),
  "relay only over TCP through the demo's TURN server, data and media": relay("tcp"),
  "TCP only, data and media": {
    seconds: 90,
    async run({ page, program, expect }) {
      return withDemo(program, ["--no-udp", "--tcp", "0.0.0.0:0"], async url => {
        const got = await connect({ page, url, wantMedia: true });
        expect(got.protocol === "tcp", "ICE", `went by ${got.protocol}`);
        expect(!/ udp /i.test(got.answer), "ICE", "the answer has UDP candidates");
        const { streams } = await (await fetch(new URL("/stats", url))).json();
        return `${got.frames} frames, ${streams} connections`;
      });
    },
  },
  "an ICE-lite far side, data and media": {
    seconds: 90,
    async run({ page, program, expect }) {
      return withDemo(program, ["--ice-lite"], async url => {
        const got = await connect({ page, url, wantMedia: true });
        expect(/a=ice-lite/.test(got.answer), "signalling", "the answer does not say ice-lite");
        return `${got.frames} frames`;
      });
    },
  },
  "a far side that speaks DTLS 1.2 only, data and media": {
    seconds: 90,
    async run({ page, program, expect }) {
      return withDemo(program, ["--dtls", "1.2"], async url => {
        const got = await connect({ page, url, wantMedia: true });
        expect(got.tls === "FEFD", "DTLS", `version ${got.tls}`);
        return `${got.cipher}, ${got.frames} frames`;
      });
    },
  },
  "a far side without the post-quantum group": {
    async run({ page, program, expect }) {
      return withDemo(program, ["--no-post-quantum"], async url => {
        const got = await connect({ page, url });
        expect(got.tls === "FEFC", "DTLS", `version ${got.tls}`);
        expect(got.group !== "X25519MLKEM768", "DTLS", `group ${got.group}`);
        return `${got.cipher}, group ${got.group ?? "not told"}`;
      });
    },
  },
  "host candidates that are .local names": {
    seconds: 120,
    async run({ program, expect, withStranger }) {
      const said = [];
      for (const options of [["--mdns"], []]) {
        said.push(await withDemo(program, options, url => withStranger(url, async page => {
          const got = await connect({ page, url });
          expect(/ [0-9a-f-]{36}\.local /.test(got.offer), "mDNS", `the browser hides nothing: ${got.offer.match(/a=candidate.*/)}`);
          return `${options.length ? "resolved" : "not resolved"}: ${got.local} to ${got.remote} over ${got.protocol}`;
        })));
      }
      return said.join("; ");
    },
  },
};
