import { reasonOf } from '@centreond/protocol';
import type { Log } from '../log.ts';

/**
 * What the daemon tells systemd on $NOTIFY_SOCKET, itself: a message of any other process is not accepted. Does nothing if there is
 * no such socket.
 */
export interface Notify {
  ready(status: string): void;
  /** A reload begins; `ready` says that it is over. */
  reloading(): void;
  stopping(): void;
  close(): void;
}

type Send = (message: string) => void;

/**
 * Opens the socket that systemd named, and says WATCHDOG twice as often as it asks for. Plugins and commands do not inherit it. If
 * the optional package node-unix-socket has no build for this platform, that is logged and nothing is sent.
 */
export async function openNotify(log: Log): Promise<Notify> {
  const { NOTIFY_SOCKET: socket, WATCHDOG_USEC: watchdogUs, WATCHDOG_PID: watchdogPid } = process.env;
  for (const name of ['NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID']) delete process.env[name];
  const { send, close } = socket ? await senderTo(socket, log) : { send: () => {}, close: () => {} };
  let watchdog: NodeJS.Timeout | undefined;
  const isWatched = Number(watchdogUs) > 0 && (!watchdogPid || Number(watchdogPid) === process.pid);
  if (isWatched) watchdog = setInterval(() => send('WATCHDOG=1'), Number(watchdogUs) / 2000).unref();
  return {
    ready: (status) => send(`READY=1\nSTATUS=${status}`),
    reloading: () => send(`RELOADING=1\nMONOTONIC_USEC=${process.hrtime.bigint() / 1000n}\nSTATUS=reloading`),
    stopping: () => send('STOPPING=1\nSTATUS=stopping'),
    close: () => {
      clearInterval(watchdog);
      close();
    },
  };
}

async function senderTo(path: string, log: Log): Promise<{ send: Send; close(): void }> {
  try {
    const { DgramSocket } = await import('node-unix-socket');
    const socket = new DgramSocket();
    const failed = (error: unknown) => log.warn({ err: error }, `systemd was not told: ${reasonOf(error)}`);
    socket.on('error', failed);
    const send = (message: string) => {
      const bytes = Buffer.from(message);
      // `@` stands for the zero byte of an abstract socket.
      socket.sendTo(bytes, 0, bytes.length, path.replace(/^@/, '\0'), (error) => error && failed(error));
    };
    return { send, close: () => socket.close() };
  } catch (error) {
    log.warn(
      { err: error },
      `systemd cannot be told when centreond is ready: ${reasonOf(error)}. Install node-unix-socket beside centreond, or use Type=exec.`,
    );
    return { send: () => {}, close: () => {} };
  }
}
