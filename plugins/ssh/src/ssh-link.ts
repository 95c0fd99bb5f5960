import { reasonOf } from '@centreond/plugin-sdk';
import { Sftp } from '@centreond/receiving';
import type { ClientChannel, SFTPWrapper } from 'ssh2';
import { type Dialled, dial, LinkFault } from './dial.ts';
import { SHELL } from './remote-script.ts';
import type { SshConfig } from './ssh-config.ts';
import { type Sight, Watch } from './watch.ts';

const PING_MS = 5000;
const CLOCK_MS = 60_000;
/** Nothing heard for so long: the connection is over. */
const SILENCE_MS = 15_000;
const CHANNEL_LIMIT_MS = 20_000;

/** The server opens no further channel on this connection. */
export class NoChannel extends Error {}

/** One SSH connection that is up: the host key is the pinned one, we are logged in, and a shell there answers. */
export class SshLink {
  /** Aborts when the connection is over, with a {@link LinkFault}. */
  readonly gone: AbortSignal;
  /** What the server calls itself. */
  readonly version: string;
  readonly #gone = new AbortController();
  readonly #dialled: Dialled;
  readonly #told: () => void;
  #watch: Watch | undefined;
  #sftp: Promise<Sftp> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #heardBytes = 0;
  #heardAt = performance.now();
  #clockAt = 0;

  private constructor(
    dialled: Dialled,
    told: () => void,
    private readonly channelLimitMs: number,
  ) {
    this.#dialled = dialled;
    this.#told = told;
    this.version = dialled.version;
    this.gone = this.#gone.signal;
    const { client } = dialled;
    client.on('error', (error) => this.#end(new LinkFault(`broke the SSH connection: ${reasonOf(error)}`)));
    client.once('close', () => this.#end(new LinkFault('closed the SSH connection')));
  }

  /**
   * Connects; `told` hears of every new sight of the other side. A channel may take `channelLimitMs` to open. Rejects with a
   * {@link LinkFault}, also when `stop` aborts.
   */
  static async open(
    config: SshConfig,
    stop: AbortSignal,
    told: () => void,
    channelLimitMs = CHANNEL_LIMIT_MS,
  ): Promise<SshLink> {
    const link = new SshLink(await dial(config, stop), told, channelLimitMs);
    const onStop = () => link.close();
    stop.addEventListener('abort', onStop, { once: true });
    if (stop.aborted) onStop();
    try {
      await link.#startWatch();
      return link;
    } catch (error) {
      link.close();
      if (error instanceof LinkFault) throw error;
      throw new LinkFault(`let ${config.user} in, but ${reasonOf(error)}`, true);
    }
  }

  async #startWatch(): Promise<void> {
    const channel = await this.exec(SHELL);
    this.#watch = await this.#whileUp(Watch.start(channel, this.#told));
    channel.on('close', () => this.#end(new LinkFault('ended the shell by which it is watched')));
    this.#look();
    this.#timer = setInterval(() => this.#look(), PING_MS);
  }

  get sight(): Sight | undefined {
    return this.#watch?.sight;
  }

  // Whatever arrives is a sign of life: an answer waits behind the output of commands.
  #look(): void {
    const now = performance.now();
    const { bytesRead } = this.#dialled.socket;
    if (bytesRead > this.#heardBytes) {
      this.#heardBytes = bytesRead;
      this.#heardAt = now;
    }
    if (now - this.#heardAt >= SILENCE_MS) {
      this.#end(new LinkFault(`has not answered for ${SILENCE_MS / 1000} s`));
      return;
    }
    const clock = this.#clockAt <= now;
    if (clock) this.#clockAt = now + CLOCK_MS;
    this.#watch?.ask(clock);
  }

  /** A channel in which the login shell runs `command`. Rejects with {@link NoChannel}, or with the fault that ended the link. */
  exec(command: string): Promise<ClientChannel> {
    return this.#channel(
      (client, done) => client.exec(command, done),
      (channel) => {
        channel.on('error', () => {});
        channel.stderr.on('error', () => {}).resume();
        channel.resume().close();
      },
    );
  }

  /** The SFTP session of this connection, opened where it is not yet. Rejects as {@link exec} does. */
  sftp(): Promise<Sftp> {
    this.#sftp ??= this.#channel<SFTPWrapper>(
      (client, done) => client.sftp(done),
      (session) => session.on('error', () => {}).end(),
    ).then(
      (session) => {
        // An error of the session ends each of its requests, too.
        session.on('error', () => {});
        session.on('close', () => {
          this.#sftp = undefined;
        });
        return new Sftp(session, this.gone);
      },
      (error) => {
        this.#sftp = undefined;
        throw error;
      },
    );
    return this.#sftp;
  }

  /** Opens a channel. One that opens after the limit has no user: `close` frees its slot at the server. */
  #channel<T>(
    open: (client: Dialled['client'], done: (error: Error | undefined, opened: T) => void) => unknown,
    close: (opened: T) => void,
  ): Promise<T> {
    const { channelLimitMs } = this;
    return this.#whileUp(
      new Promise<T>((resolve, reject) => {
        let late = false;
        const limit = setTimeout(() => {
          late = true;
          reject(new NoChannel(`it opened no channel within ${channelLimitMs / 1000} s`));
        }, channelLimitMs);
        open(this.#dialled.client, (error, opened) => {
          clearTimeout(limit);
          if (late && !error) close(opened);
          else if (error) reject(new NoChannel(`it opens no channel: ${reasonOf(error)}`));
          else resolve(opened);
        });
      }),
    );
  }

  /** What `promise` gives, or the fault that ends the link before. */
  async #whileUp<T>(promise: Promise<T>): Promise<T> {
    let onGone = () => {};
    const over = new Promise<never>((_, reject) => {
      onGone = () => reject(this.gone.reason);
      this.gone.addEventListener('abort', onGone);
      if (this.gone.aborted) onGone();
    });
    try {
      return await Promise.race([promise, over]);
    } finally {
      promise.catch(() => undefined);
      this.gone.removeEventListener('abort', onGone);
    }
  }

  #end(fault: LinkFault): void {
    clearInterval(this.#timer);
    if (!this.gone.aborted) this.#gone.abort(fault);
    this.#dialled.socket.destroy();
  }

  /** Ends the connection at once. Calling it again does nothing. */
  close(): void {
    this.#end(new LinkFault('is no longer connected to'));
  }
}
