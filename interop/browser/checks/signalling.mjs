// The signalling contract: WebSocket, renegotiation, restarts, WHIP and WHEP, refusals.
export const checks = {
  "trickled candidates over the WebSocket": {
    async run({ page }) {
      await page.evaluate(async () => {
        const pc = globalThis.call = new RTCPeerConnection();
        const s = await signalled(pc);
        const c = pc.createDataChannel("d");
        await within(opened(c), 10000, "channel");
        await roundTrip(c, "hello");
        if (s.errors.length) throw new Error(`signalling: ${s.errors}`);
        pc.close(); s.ws.close();
      });
    },
  },
  "ICE restarts from the page and from the server, and nothing is lost": {
    async run({ page }) {
      await page.evaluate(async () => {
        const pc = globalThis.call = new RTCPeerConnection();
        const s = await signalled(pc);
        const c = pc.createDataChannel("d");
        await within(opened(c), 10000, "channel");
        let next = 0, back = 0;
        c.onmessage = ({ data }) => { if (data !== String(back)) throw new Error(`data: ${data} instead of ${back}`); back++; };
        const ticker = setInterval(() => c.send(String(next++)), 5);
        for (const restart of [() => pc.restartIce(), () => s.send({ type: "restart-ice" })]) {
          const before = /a=ice-ufrag:(\S+)/.exec(pc.currentRemoteDescription.sdp)[1];
          restart();
          const end = performance.now() + 20000;
          while (/a=ice-ufrag:(\S+)/.exec(pc.currentRemoteDescription.sdp)[1] === before || pc.signalingState !== "stable") {
            if (performance.now() > end) throw new Error(`signalling: no new credentials; ${diagnose()} ${s.errors}`);
            await new Promise(ok => setTimeout(ok, 20));
          }
          await new Promise(ok => setTimeout(ok, 1000));
          await comesTrue(() => ["connected", "completed"].includes(pc.iceConnectionState), 10000, "ICE after the restart");
        }
        clearInterval(ticker);
        const end = performance.now() + 20000;
        while (back < next) { if (performance.now() > end) throw new Error(`data: ${back} of ${next} came back`); await new Promise(ok => setTimeout(ok, 20)); }
        if (s.errors.length) throw new Error(`signalling: ${s.errors}`);
        pc.close(); s.ws.close();
      });
    },
  },
  "renegotiation adds a second video, from the page": {
    async run({ page }) {
      await page.evaluate(async () => {
        const pc = globalThis.call = new RTCPeerConnection();
        const s = await signalled(pc);
        const one = await media({ video: { width: 320, height: 180 } });
        pc.addTrack(one.getVideoTracks()[0], one);
        await within(state(pc, "connected"), 10000, "connection");
        await grows(pc, "inbound-rtp", "video", "framesDecoded", 5, 10000);
        const two = await media({ video: { width: 320, height: 180 } });
        pc.addTrack(two.getVideoTracks()[0].clone(), two);
        const end = performance.now() + 15000;
        for (;;) {
          const decoded = []; (await pc.getStats()).forEach(r => { if (r.type === "inbound-rtp" && r.kind === "video") decoded.push(r.framesDecoded ?? 0); });
          if (decoded.length === 2 && decoded.every(n => n > 5)) break;
          if (performance.now() > end) throw new Error(`media: frames decoded by stream: ${decoded}; ${s.errors}`);
          await new Promise(ok => setTimeout(ok, 200));
        }
        if (s.errors.length) throw new Error(`signalling: ${s.errors}`);
        pc.close(); s.ws.close();
      });
    },
  },
  "renegotiation from the server": {
    async run({ page }) {
      await page.evaluate(async () => {
        const pc = globalThis.call = new RTCPeerConnection();
        const s = await signalled(pc);
        const c = pc.createDataChannel("d");
        await within(opened(c), 10000, "channel");
        const stream = await media({ video: { width: 320, height: 180 } });
        const track = new Promise(ok => { pc.ontrack = ok; });
        s.send({ type: "add-video" });
        const { transceiver } = await within(track, 10000, "an offer from the server");
        await transceiver.sender.replaceTrack(stream.getVideoTracks()[0]);
        transceiver.direction = "sendrecv";
        await grows(pc, "inbound-rtp", "video", "framesDecoded", 10, 15000);
        if (s.errors.length) throw new Error(`signalling: ${s.errors}`);
        pc.close(); s.ws.close();
      });
    },
  },
  "the page closes, and the server closes": {
    async run({ page, expect, url }) {
      const count = async () => (await (await fetch(new URL("/stats", url))).json()).peers;
      const before = await count();
      await page.evaluate(async () => {
        const pc = globalThis.call = new RTCPeerConnection();
        const c = pc.createDataChannel("d");
        await offerTo(pc);
        await within(opened(c), 10000, "channel");
        pc.close();
      });
      // The server notices by the alert, not by waiting for consent to run out.
      const end = Date.now() + 15000;
      for (;;) {
        const peers = await count();
        if (peers <= before) break;
        expect(Date.now() < end, "DTLS", `${peers} peers are still there 15 s after the page closed`);
        await new Promise(ok => setTimeout(ok, 50));
      }
      await page.evaluate(async () => {
        const pc = globalThis.call = new RTCPeerConnection();
        const s = await signalled(pc);
        const c = pc.createDataChannel("d");
        await within(opened(c), 10000, "channel");
        const closed = new Promise(ok => { c.onclose = ok; });
        s.send({ type: "bye" });
        await within(closed, 15000, "close from the server");
        pc.close();
      });
    },
  },
  "WHIP ingest and WHEP playback, trickle, restart and delete": {
    async run({ page, expect }) {
      const result = await page.evaluate(async () => {
        const session = async (path, pc) => {
          await pc.setLocalDescription();
          const response = await fetch(path, { method: "POST", headers: { "content-type": "application/sdp" }, body: pc.localDescription.sdp });
          const sdp = await response.text();
          if (response.status !== 201) throw new Error(`signalling: ${path} gave ${response.status} ${sdp}`);
          const location = response.headers.get("location"), etag = response.headers.get("etag");
          if (!location || !etag) throw new Error("signalling: no Location or ETag");
          await pc.setRemoteDescription({ type: "answer", sdp });
          return { location, etag };
        };
        const fragment = sdp => sdp.split("\r\n").filter(l => /^a=(ice-ufrag|ice-pwd|mid|candidate)/.test(l) || /^m=/.test(l)).join("\r\n") + "\r\n";
        const up = globalThis.call = new RTCPeerConnection();
        const stream = await media();
        for (const t of stream.getTracks()) up.addTransceiver(t, { direction: "sendonly", streams: [stream] });
        const whip = await session("/whip", up);
        await within(state(up, "connected"), 10000, "WHIP");
        const patch = (headers, body) => fetch(whip.location, { method: "PATCH", headers: { "content-type": "application/trickle-ice-sdpfrag", ...headers }, body });
        const statuses = [(await patch({ "if-match": whip.etag }, fragment(up.localDescription.sdp))).status, (await patch({}, "")).status, (await patch({ "if-match": '"other"' }, "")).status];
        const down = globalThis.call = new RTCPeerConnection();
        down.addTransceiver("audio", { direction: "recvonly" }); down.addTransceiver("video", { direction: "recvonly" });
        const whep = await session("/whep", down);
        await within(state(down, "connected"), 10000, "WHEP");
        await grows(down, "inbound-rtp", "video", "framesDecoded", 10, 15000);
        await grows(down, "inbound-rtp", "audio", "packetsReceived", 10, 15000);
        const gone = [];
        for (const s of [whip, whep]) gone.push((await fetch(s.location, { method: "DELETE" })).status, (await fetch(s.location, { method: "DELETE" })).status);
        up.close(); down.close();
        return { statuses, gone };
      });
      expect(String(result.statuses) === "204,428,412", "signalling", `PATCH gave ${result.statuses}`);
      expect(String(result.gone) === "200,404,200,404", "signalling", `DELETE gave ${result.gone}`);
    },
  },
  "bad input gets a 4xx with a sentence and disturbs nothing": {
    async run({ page, url, expect }) {
      const say = async (path, init) => { const r = await fetch(new URL(path, url), init); return [r.status, await r.text()]; };
      const json = body => ({ method: "POST", headers: { "content-type": "application/json" }, body });
      const sdp = body => ({ method: "POST", headers: { "content-type": "application/sdp" }, body });
      const cases = [
        ["/offer", json("{"), 400], ["/offer", json("[]"), 400], ["/offer", json('{"type":"answer","sdp":""}'), 400],
        ["/offer", json('{"type":"offer"}'), 400], ["/offer", json('{"type":"offer","sdp":"nonsense"}'), 400], ["/offer", json('{"type":"offer","sdp":7}'), 400],
        ["/offer", json('{"type":"offer","sdp":"v=0\\r\\no=- 1 1 IN IP4 0.0.0.0\\r\\ns=-\\r\\nt=0 0\\r\\nm=audio 9 UDP/TLS/RTP/SAVPF 0\\r\\n"}'), 400],
        ["/offer", { method: "GET" }, 405], ["/offer", { method: "DELETE" }, 405], ["/whip", { method: "GET" }, 405],
        ["/offer", json(`{"type":"offer","sdp":"${"x".repeat(2 << 20)}"}`), 413],
        ["/whip", json("{}"), 415], ["/whip", sdp("nonsense"), 400], ["/whep", sdp(""), 400],
        ["/session/none", { method: "DELETE" }, 404], ["/session/none", { method: "PATCH", headers: { "content-type": "application/trickle-ice-sdpfrag", "if-match": "*" }, body: "" }, 404],
        ["/nowhere", { method: "GET" }, 404],
      ];
      for (const [path, init, wanted] of cases) {
        const [status, text] = await say(path, init);
        expect(status === wanted, "signalling", `${init.method} ${path} gave ${status} instead of ${wanted}: ${text.slice(0, 200)}`);
        if (wanted === 400) expect(/ /.test(JSON.parse(text).error), "signalling", `no sentence: ${text}`);
      }
      await page.evaluate(async () => {
        const pc = globalThis.call = new RTCPeerConnection(), c = pc.createDataChannel("d");
        await offerTo(pc); await within(opened(c), 10000, "channel"); await roundTrip(c, "still fine"); pc.close();
      });
    },
  },
};
