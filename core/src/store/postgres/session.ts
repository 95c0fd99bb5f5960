import { reasonOf } from '@centreond/protocol';
import pg from 'pg';
import type { Address } from './address.ts';
import { toStored } from './arrays.ts';
import { Cells } from './cells.ts';

const CONNECT_MS = 4000;
/** A statement that takes longer ends its session: a server that is gone says nothing. */
const ANSWER_MS = 30_000;
/** The server ends a transaction whose router is paused, and a session whose router is gone, after so long. */
const SETTINGS = {
  idle_in_transaction_session_timeout: '10s',
  tcp_keepalives_idle: '5',
  tcp_keepalives_interval: '2',
  tcp_keepalives_count: '3',
} as const;
const OLDEST_SERVER = 140_000;

/** A statement that the server plans once for a session. */
export interface Statement {
  readonly name: string;
  readonly text: string;
}

export type Value = string | number | boolean | null | Buffer;

/** The server's texts, as they are: {@link Cells} reads them. */
const TEXTS = { getTypeParser: () => (text: string) => text };

/** A connection to PostgreSQL. */
export class Session {
  readonly #client: pg.Client;
  /** Why it cannot be used any more. */
  lost: Error | undefined;
  onLost: (error: Error) => void = () => {};

  private constructor(client: pg.Client) {
    this.#client = client;
    client.on('error', (error) => this.#lose(error));
    client.on('end', () => this.#lose(new Error('the server closed the connection')));
  }

  /** Connects; `name` is what the server shows of it. Rejects with a plain Error that says what to change. */
  static async open(url: string, address: Address, name: string, settings: Record<string, string>): Promise<Session> {
    const client = new pg.Client({
      ...{ connectionString: url, application_name: name, connectionTimeoutMillis: CONNECT_MS, keepAlive: true },
      types: TEXTS,
    });
    const session = new Session(client);
    try {
      await client.connect();
      const version = (await session.rows('SHOW server_version_num'))[0]?.number() ?? 0;
      if (version < OLDEST_SERVER) throw new Unfit(tooOld(version));
      const all: Record<string, string> = { ...SETTINGS, ...settings };
      for (const [key, value] of Object.entries(all)) await session.rows(`SET ${key} = '${value}'`);
      return session;
    } catch (error) {
      session.end();
      throw error instanceof Unfit ? error : new Unfit(connectReason(error, address));
    }
  }

  /** Runs a statement. Rejects with what the server says, or with why there is no answer; `lost` is then set. */
  async run(statement: string | Statement, values: readonly Value[] = []): Promise<{ rows: Cells[]; command: string }> {
    if (this.lost) throw this.lost;
    const query = typeof statement === 'string' ? { text: statement } : { name: statement.name, text: statement.text };
    const limit = setTimeout(() => {
      this.#lose(new Error(`the server did not answer within ${ANSWER_MS / 1000} s`));
      this.end();
    }, ANSWER_MS);
    try {
      const result = await this.#client.query<unknown[]>({
        ...{ ...query, rowMode: 'array' },
        ...(values.length > 0 && { values: values.map((one) => (typeof one === 'string' ? toStored(one) : one)) }),
      });
      // Several statements without values have a result each; the last one counts.
      const { rows, command } = Array.isArray(result) ? (result.at(-1) as pg.QueryArrayResult<unknown[]>) : result;
      return { rows: rows.map((row) => new Cells(row)), command };
    } catch (error) {
      if (endsSession(error)) this.#lose(error instanceof Error ? error : new Error(String(error)));
      throw this.lost ?? error;
    } finally {
      clearTimeout(limit);
    }
  }

  async rows(statement: string | Statement, values: readonly Value[] = []): Promise<Cells[]> {
    return (await this.run(statement, values)).rows;
  }

  /**
   * Does `work` in one transaction, which `begin` begins, and commits it. Rejects with what it rejects with: then
   * nothing is changed, unless the answer to the commit was lost.
   */
  async transaction<T>(work: () => Promise<T>, begin = 'BEGIN'): Promise<T> {
    await this.rows(begin);
    try {
      const done = await work();
      await this.rows('COMMIT');
      return done;
    } catch (error) {
      if (!this.lost) await this.rows('ROLLBACK');
      throw error;
    }
  }

  /** Leaves at once: the server rolls back what is not committed. */
  end(): void {
    this.#lose(new Error('the connection was closed'));
    // Its socket goes in any case; there is nobody left to tell.
    this.#client.end().catch(() => undefined);
  }

  /** Leaves when the server has taken notice. */
  async close(): Promise<void> {
    this.onLost = () => {};
    this.lost ??= new Error('the connection was closed');
    await this.#client.end();
  }

  #lose(error: Error): void {
    if (this.lost) return;
    this.lost = new Error(`PostgreSQL is not there: ${reasonOf(error)}`);
    this.onLost(this.lost);
  }
}

/** A database that cannot be used; its message says what to change. */
export class Unfit extends Error {}

/** Whether an error says that a session is over, or leaves that open. */
function endsSession(error: unknown): boolean {
  if (!(error instanceof pg.DatabaseError)) return true;
  return error.severity === 'FATAL' || error.severity === 'PANIC';
}

function tooOld(version: number): string {
  return `its server is PostgreSQL ${Math.floor(version / 10_000)} and centreond needs 14 or later; upgrade it, or point core.store.url elsewhere`;
}

/** Why a connection cannot be made, and what to change. */
function connectReason(error: unknown, { user, host, port, database }: Address): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  switch (code) {
    case '28P01':
    case '28000':
      return `the server does not let ${user} in (${reasonOf(error)}); correct user and password in core.store.url, or the server's pg_hba.conf`;
    case '3D000':
      return `there is no database ${database} on that server; create it (createdb --owner ${user} ${database}), or correct core.store.url`;
    case '42501':
      return `${user} may not connect to ${database} (${reasonOf(error)}); GRANT CONNECT ON DATABASE, or use its owner`;
    case '53300':
      return `the server has no free connection (${reasonOf(error)}); raise its max_connections, a router takes seven`;
    case '57P03':
      return `the server is not ready yet (${reasonOf(error)}); start centreond once it is`;
    default:
      break;
  }
  if (error instanceof pg.DatabaseError) return `the server refuses the connection: ${reasonOf(error)}`;
  if (error instanceof Error && /password/i.test(error.message))
    return `the server asks for a password and core.store.url has none that can be used; write it there`;
  if (error instanceof Error && /SSL|certificate/i.test(error.message))
    return `no encrypted connection comes about (${reasonOf(error)}); correct sslmode in core.store.url, or the server's certificate`;
  return `no PostgreSQL answers at ${host}:${port} (${reasonOf(error)}); start it, or correct core.store.url`;
}
