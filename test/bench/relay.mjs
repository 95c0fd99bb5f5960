// The frozen baseline of every speed ratio: a bare relay of three zeromq.js processes
//   clients (tcp DEALERs, one process) -> router (tcp ROUTER + ipc ROUTER) -> worker (ipc DEALER) and back.
// No crypto, no database, no parsing, no coalescing; the fastest plain pattern (tight receive loop, sendTimeout 0, sends not awaited).
// node relay.mjs CLIENTS IN_FLIGHT [SECONDS=3] [BYTES=500]   prints one JSON line. Run it from a folder that can import zeromq.
import { fork } from "node:child_process";
import { createRequire } from "node:module";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

const zmq = createRequire(path.join(process.cwd(), "package.json"))("zeromq");
const [role, ...args] = process.argv.slice(2);
const fail = (e) => {
	console.error("relay:", e.message);
	process.exit(1);
};
const pump = async (s, f) => {
	for (;;) f(await s.receive());
};
if (role === "--router") {
	const [ipc] = args;
	const front = new zmq.Router({
			mandatory: true,
			sendTimeout: 0,
			sendHighWaterMark: 0,
			receiveHighWaterMark: 0,
		}),
		back = new zmq.Router({
			mandatory: true,
			sendTimeout: 0,
			sendHighWaterMark: 0,
			receiveHighWaterMark: 0,
		});
	await front.bind("tcp://127.0.0.1:*");
	await back.bind(ipc);
	let worker;
	process.send({ tcp: front.lastEndpoint });
	pump(back, ([id, who, m]) => {
		if (m === undefined) {
			worker = id;
			process.send({ up: 1 });
			return;
		}
		front.send([who, m]).catch(fail);
	}).catch(fail);
	pump(front, ([who, m]) => {
		back.send([worker, who, m]).catch(fail);
	}).catch(fail);
} else if (role === "--worker") {
	const s = new zmq.Dealer({
		sendTimeout: 0,
		sendHighWaterMark: 0,
		receiveHighWaterMark: 0,
	});
	s.connect(args[0]);
	await s.send("up");
	pump(s, ([who, m]) => {
		s.send([who, m]).catch(fail);
	}).catch(fail);
} else if (role === "--clients") {
	const [tcp, n, w, secs, bytes] = [args[0], ...args.slice(1).map(Number)];
	zmq.context.maxSockets = Math.max(1023, n + 100);
	const lat = [];
	let count = 0,
		go = true,
		measuring = false;
	const payload = () => {
		const b = Buffer.allocUnsafeSlow(bytes).fill(120);
		b.writeDoubleLE(performance.now(), 0);
		return b;
	};
	const socks = Array.from({ length: n }, () => {
		const s = new zmq.Dealer({
			sendTimeout: 0,
			linger: 0,
			sendHighWaterMark: 0,
			receiveHighWaterMark: 0,
		});
		s.connect(tcp);
		return s;
	});
	await new Promise((r) => setTimeout(r, 300 + n));
	for (const s of socks) {
		pump(s, ([m]) => {
			if (measuring) {
				count++;
				if (count % 8 === 0) lat.push(performance.now() - m.readDoubleLE(0));
			}
			if (go) s.send(payload()).catch(fail);
		}).catch(() => {});
		for (let i = 0; i < w; i++) s.send(payload()).catch(fail);
	}
	await new Promise((r) => setTimeout(r, 500));
	measuring = true;
	const t = performance.now();
	await new Promise((r) => setTimeout(r, secs * 1000));
	measuring = false;
	const perSecond = count / ((performance.now() - t) / 1000);
	go = false;
	lat.sort((a, b) => a - b);
	const q = (p) => +(lat[Math.floor(lat.length * p)] ?? 0).toFixed(3);
	process.send({
		perSecond: Math.round(perSecond),
		p50Ms: q(0.5),
		p99Ms: q(0.99),
	});
} else {
	const [n, w, secs, bytes] = [role, ...args].map(Number);
	const ipc = `ipc://${path.join(os.tmpdir(), `relay-${process.pid}.ipc`)}`;
	const me = fileURLToPath(import.meta.url);
	const kids = [];
	const kid = (...a) => {
		const k = fork(me, a.map(String), { cwd: process.cwd() });
		kids.push(k);
		return k;
	};
	const say = (k, key) =>
		new Promise((ok, no) => {
			k.on("message", (m) => {
				if (key in m) ok(m);
			});
			k.once("exit", (c) => no(new Error(`process ended ${c}`)));
		});
	const r = kid("--router", ipc);
	const { tcp } = await say(r, "tcp");
	const up = say(r, "up");
	kid("--worker", ipc);
	await up;
	const out = await say(
		kid("--clients", tcp, n, w, secs || 3, bytes || 500),
		"perSecond",
	);
	console.log(JSON.stringify({ clients: n, inFlight: w, ...out }));
	for (const k of kids) k.kill("SIGKILL");
}
