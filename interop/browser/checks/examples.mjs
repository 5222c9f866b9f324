// The other examples, as their users run them.
import { createHash, randomFillSync } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const sleep = ms => new Promise(ok => setTimeout(ok, ms));

export const checks = {
  "conference: four pages each see the three others": {
    seconds: 120,
    async run({ program, browser, expect }) {
      const seconds = Number(process.env.TINCAN_CONFERENCE_SECONDS ?? 8);
      const room = await program("conference", ["--listen", "127.0.0.1:0"], /open (http:\S+)/);
      const pages = [];
      try {
        for (let i = 0; i < 4; i++) {
          const page = await browser.newPage();
          await page.goto(room.matched[1]);
          pages.push(page);
          await sleep(300);
        }
        const frames = () => Promise.all(pages.map(page => page.evaluate(() => [...document.querySelectorAll(".other video")].map(v => v.getVideoPlaybackQuality().totalVideoFrames))));
        const end = Date.now() + 40000;
        let begin;
        for (;;) {
          begin = await frames();
          if (begin.every(seen => seen.length === 3 && seen.every(n => n > 0))) break;
          expect(Date.now() < end, "media", `frames seen by each page: ${JSON.stringify(begin)}`);
          await sleep(200);
        }
        await sleep(seconds * 1000);
        // All of them go on, however slowly four encoders and twelve decoders do on a busy machine.
        const late = Date.now() + 20000;
        let after;
        for (;;) {
          after = await frames();
          const least = Math.min(...after.flatMap((seen, i) => seen.map((n, j) => n - begin[i][j])));
          if (least >= 5 * seconds) break;
          expect(Date.now() < late, "media", `one page saw ${least} frames of another in ${seconds + 20} s`);
          await sleep(200);
        }
        if (process.env.TINCAN_SHOTS) await pages[0].screenshot({ path: `${process.env.TINCAN_SHOTS}/conference.png` });
        await pages.pop().close();
        const gone = Date.now() + 10000;
        while ((await frames()).some(seen => seen.length !== 2)) {
          expect(Date.now() < gone, "signalling", "one who left is still shown");
          await sleep(200);
        }
        return `${after.flat().reduce((a, b) => a + b, 0)} frames in all`;
      } finally {
        for (const page of pages) await page.close().catch(() => {});
        room.child.kill("SIGKILL");
      }
    },
  },
  "files: a transfer is killed in the middle, goes on, and the hash agrees": {
    seconds: 180,
    async run({ program, expect }) {
      const size = Number(process.env.TINCAN_FILE_MIB ?? 192) * 1048576;
      const folder = mkdtempSync(join(tmpdir(), "tincan-files-"));
      try {
        const bytes = Buffer.alloc(size);
        for (let at = 0; at < size; at += 1 << 26) randomFillSync(bytes, at, Math.min(1 << 26, size - at));
        writeFileSync(join(folder, "source.bin"), bytes);
        const sender = await program("files", ["send", join(folder, "source.bin"), "--listen", "127.0.0.1:0"], /receive (ws:\S+)/);
        const into = join(folder, "in");
        (await import("node:fs")).mkdirSync(into);
        const { spawn } = await import("node:child_process");
        const first = spawn(join(process.env.TINCAN_EXAMPLES ?? "target/release/examples", "files"), ["receive", sender.matched[1], "--into", into], { stdio: "ignore" });
        const ended = new Promise(ok => first.on("exit", ok));
        const part = join(into, "source.bin.part");
        const have = () => { try { return statSync(part).size; } catch { return 0; } };
        const end = Date.now() + 60000;
        while (have() < size / 4) { expect(Date.now() < end && first.exitCode === null, "data", `${have()} of ${size} bytes, ended with ${first.exitCode}`); await sleep(5); }
        first.kill("SIGKILL");
        await ended;
        const kept = have();
        expect(kept < size, "data", "the transfer was over before it was killed");
        const second = await program("files", ["receive", sender.matched[1], "--into", into]);
        expect((await second.ended) === 0, "data", second.output());
        expect(second.output().includes(`going on at`), "data", `it began anew: ${second.output()}`);
        const same = createHash("sha256").update(readFileSync(join(into, "source.bin"))).digest("hex") === createHash("sha256").update(bytes).digest("hex");
        expect(same, "data", "other bytes arrived");
        expect((await sender.ended) === 0, "data", sender.output());
        return `went on at ${(kept / 1048576).toFixed(0)} of ${size / 1048576} MiB`;
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    },
  },
  "game: a page and fifty bots share a world": {
    async run({ program, browser, expect }) {
      const game = await program("game", ["--listen", "127.0.0.1:0", "--bots", "50"], /open (http:\S+)/);
      const page = await browser.newPage();
      try {
        await page.goto(game.matched[1]);
        const end = Date.now() + 20000;
        for (;;) {
          await page.mouse.move(100 + Math.random() * 400, 100 + Math.random() * 300);
          const text = await page.textContent("#n");
          if (/^51 players/.test(text)) return text;
          expect(Date.now() < end, "data", `the page shows "${text}"`);
          await sleep(200);
        }
      } finally {
        await page.close();
        game.child.kill("SIGKILL");
      }
    },
  },
  "chat: two terminals and copied descriptions": {
    seconds: 120,
    async run({ expect }) {
      const { spawn } = await import("node:child_process");
      const start = words => {
        const child = spawn(join(process.env.TINCAN_EXAMPLES ?? "target/release/examples", "chat"), words, { stdio: ["pipe", "pipe", "inherit"] });
        let output = "";
        child.stdout.on("data", data => { output += data; });
        const until = async pattern => {
          const end = Date.now() + 30000;
          for (;;) {
            const match = pattern.exec(output);
            if (match) return match[0];
            expect(Date.now() < end, "signalling", `no ${pattern} in: ${output}`);
            await sleep(20);
          }
        };
        return { child, until, say: line => child.stdin.write(line + "\n") };
      };
      const a = start([]), b = start(["answer"]);
      try {
        b.say(await a.until(/^\{"sdp".*\}|^\{.*"type":"offer".*\}$/m));
        a.say(await b.until(/^\{.*"type":"answer".*\}$/m));
        a.say("hello from a");
        await b.until(/< hello from a/);
        b.say("hello from b");
        await a.until(/< hello from b/);
        a.child.stdin.end();
        await b.until(/The other person left/);
      } finally {
        a.child.kill("SIGKILL");
        b.child.kill("SIGKILL");
      }
    },
  },
};
