import net from 'node:net';

/** A way to a server on this machine, which may lead to another one later, and may be cut off: then nothing comes through, and nothing ends. */
export class Way {
  readonly #server: net.Server;
  readonly #ends = new Set<net.Socket>();
  #isCut = false;

  /** `target` is the port of the server. */
  constructor(public target: number) {
    this.#server = net.createServer((near) => {
      const far = net.connect(this.target, '127.0.0.1');
      const drop = () => {
        for (const end of [near, far]) {
          end.destroy();
          this.#ends.delete(end);
        }
      };
      for (const [from, to] of [
        [near, far],
        [far, near],
      ] as const) {
        this.#ends.add(from);
        from.on('data', (data) => void (this.#isCut || to.write(data)));
        from.on('error', drop).on('close', () => void (this.#isCut || drop()));
      }
    });
  }

  /** Resolves with the port by which the server is reached. */
  async listen(): Promise<number> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('no port was given');
    return address.port;
  }

  /** What is said from now on is lost, and so is that an end has closed. */
  cut(): void {
    this.#isCut = true;
  }

  /** Leads to the server again; connections of before are over. */
  join(): void {
    this.#isCut = false;
    for (const end of this.#ends) end.destroy();
  }

  close(): void {
    for (const end of this.#ends) end.destroy();
    this.#server.close();
  }
}
