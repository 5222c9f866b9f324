// Audio and video.
export const checks = {
  "audio and video come back and are decoded for 5 s": {
    async run({ page, figures }) {
      const result = await page.evaluate(async () => {
        const pc = globalThis.call = new RTCPeerConnection();
        const stream = await media();
        for (const t of stream.getTracks()) pc.addTrack(t, stream);
        const v = document.createElement("video"); v.autoplay = true; v.muted = true; document.body.append(v);
        pc.ontrack = e => { v.srcObject ??= new MediaStream(); v.srcObject.addTrack(e.track); };
        await offerTo(pc);
        await within(state(pc, "connected"), 10000, "connection");
        await grows(pc, "inbound-rtp", "video", "framesDecoded", 1, 10000);
        const rows = [];
        for (let i = 0; i < 5; i++) rows.push(await grows(pc, "inbound-rtp", "video", "framesDecoded", 5, 10000), await grows(pc, "inbound-rtp", "audio", "totalSamplesReceived", 4000, 10000)), await new Promise(ok => setTimeout(ok, 900));
        const frames = await sum(pc, "inbound-rtp", "video", "framesDecoded"), freezes = await sum(pc, "inbound-rtp", "video", "freezeCount"), sent = await sum(pc, "outbound-rtp", "video", "bytesSent");
        pc.close();
        return { frames, freezes, sent };
      });
      figures.echoFramesIn5s = result.frames;
      return `${result.frames} frames, ${result.freezes} freezes, ${(result.sent / 1e6).toFixed(2)} MB of video sent`;
    },
  },
  "each codec of the browser comes back": {
    seconds: 90,
    async run({ page }) {
      const done = await page.evaluate(async () => {
        const done = [];
        const names = [...new Set(RTCRtpSender.getCapabilities("video").codecs.map(c => c.mimeType))].filter(m => !/rtx|red|ulpfec|flexfec/i.test(m));
        for (const mime of names) {
          const pc = globalThis.call = new RTCPeerConnection();
          const stream = await media({ video: { width: 320, height: 180 } });
          const tx = pc.addTransceiver(stream.getVideoTracks()[0], { direction: "sendrecv" });
          const codecs = RTCRtpReceiver.getCapabilities("video").codecs;
          if (!codecs.some(c => c.mimeType === mime)) continue;
          tx.setCodecPreferences(codecs.filter(c => c.mimeType === mime || /rtx/i.test(c.mimeType)));
          await offerTo(pc);
          await within(state(pc, "connected"), 10000, `connection for ${mime}`);
          const frames = await grows(pc, "inbound-rtp", "video", "framesDecoded", 20, 15000);
          done.push(`${mime} ${frames}`);
          for (const t of stream.getTracks()) t.stop();
          pc.close();
        }
        return done;
      });
      return done.join(", ");
    },
  },
  "directions: sendonly, recvonly and inactive are answered as asked": {
    async run({ page, expect }) {
      const got = await page.evaluate(async () => {
        const pc = globalThis.call = new RTCPeerConnection();
        const a = pc.addTransceiver("audio", { direction: "sendonly" }), b = pc.addTransceiver("video", { direction: "recvonly" }), c = pc.addTransceiver("audio", { direction: "inactive" }), d = pc.addTransceiver("video", { direction: "sendrecv" });
        await offerTo(pc);
        await within(state(pc, "connected"), 10000, "connection");
        const r = [a, b, c, d].map(t => t.currentDirection);
        pc.close();
        return r;
      });
      expect(JSON.stringify(got) === JSON.stringify(["sendonly", "recvonly", "inactive", "sendrecv"]), "signalling", `directions became ${got}`);
    },
  },
  "audio alone, video alone, data alone": {
    async run({ page }) {
      await page.evaluate(async () => {
        for (const what of ["audio", "video", "data"]) {
          const pc = globalThis.call = new RTCPeerConnection();
          const c = what === "data" ? pc.createDataChannel("d") : undefined;
          if (!c) { const s = await media({ [what]: true }); pc.addTrack(s.getTracks()[0], s); }
          await offerTo(pc);
          await within(state(pc, "connected"), 10000, `connection with ${what} alone`);
          if (c) { await within(opened(c), 5000, "channel"); await roundTrip(c, "x"); }
          else await grows(pc, "inbound-rtp", what, "packetsReceived", 10, 10000);
          pc.close();
        }
      });
    },
  },
};
