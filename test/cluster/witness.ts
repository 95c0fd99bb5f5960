import { openStore } from '../../core/dist/store/open-store.js';
import { options, TestLog } from '../core/store/opened.ts';
import type { PostgresServer } from '../core/store/postgres-server.ts';
import type { Seen, StoredRow } from './checker.ts';

/** A setting of each session with the database: the process of a router that it belongs to. */
const PROCESS = 'witness.process';

/** What writes down who wrote which row, and who raised whose fence, in the order in which the database did. */
const TABLES = `
CREATE TABLE witness (
    place bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL, who text NOT NULL, router text, id bigint, token text,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX witness_id ON witness (id);
CREATE FUNCTION witness_rows() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO witness (kind, who, id, token)
    SELECT 'write', coalesce(current_setting('${PROCESS}', true), ''), id, token FROM written ORDER BY id;
  RETURN NULL;
END $$;
CREATE TRIGGER witness_rows AFTER INSERT ON centreond_history REFERENCING NEW TABLE AS written
  FOR EACH STATEMENT EXECUTE FUNCTION witness_rows();
CREATE FUNCTION witness_fence() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO witness (kind, who, router)
    SELECT 'fence', coalesce(current_setting('${PROCESS}', true), ''), id FROM centreond_node WHERE number = new.node;
  RETURN NULL;
END $$;
CREATE TRIGGER witness_fence AFTER UPDATE OF fence ON centreond_writer
  FOR EACH ROW WHEN (old.fence IS DISTINCT FROM new.fence) EXECUTE FUNCTION witness_fence();
`;

/** A database of routers that writes down what each of their processes did. */
export class Witness {
  readonly #server: PostgresServer;
  readonly database: string;

  private constructor(server: PostgresServer, database: string) {
    this.#server = server;
    this.database = database;
  }

  /** Makes a database, as a router does, before any of them starts. */
  static async open(server: PostgresServer): Promise<Witness> {
    const database = await server.database();
    const clock = { now: () => Date.now(), monotonic: () => performance.now() };
    const store = await openStore(options({ url: server.url(database), clock, log: new TestLog() }));
    await store.close();
    await server.query(database, TABLES);
    return new Witness(server, database);
  }

  /** The URL for a process of a router: over TCP by way of `port`, or over the socket. */
  url(process: string, port?: number): string {
    const options = `options=${encodeURIComponent(`-c ${PROCESS}=${process}`)}`;
    if (port === undefined) return `${this.#server.url(this.database)}&${options}`;
    return `${this.#server.tcpUrl(this.database, { port })}?${options}`;
  }

  query(text: string, values: readonly unknown[] = []): Promise<unknown[][]> {
    return this.#server.query(this.database, text, values);
  }

  /** Who raised whose fence, and when, for people. */
  async fences(): Promise<string[]> {
    const found = await this.query(
      `SELECT to_char(at AT TIME ZONE 'UTC', 'HH24:MI:SS.MS'), router, who FROM witness WHERE kind = 'fence' ORDER BY place`,
    );
    return found.map(([at, router, by]) => `${at} the fence of ${router} is raised by ${by}`);
  }

  /** Tokens that have not ended, with where they are open, and the node that they are for. */
  async open(prefix: string): Promise<Map<string, string>> {
    const found = await this.query(
      `SELECT r.token, n.id || CASE r.target WHEN '' THEN '' ELSE ' for ' || r.target END FROM centreond_open o JOIN centreond_request r ON r.id = o.id
         JOIN centreond_node n ON n.number = o.router WHERE starts_with(r.token, $1)`,
      [prefix],
    );
    return new Map(found.map(([token, where]) => [String(token), String(where)]));
  }

  /** All rows of the tokens that begin with `prefix`. */
  async rows(prefix: string): Promise<StoredRow[]> {
    const found = await this.query(
      `SELECT h.id, h.token, h.code, coalesce(n.id, ''), coalesce(o.epoch, ''), o.origin_id, r.id, coalesce(w.who, ''),
         extract(epoch FROM w.at) * 1000
       FROM centreond_history h JOIN centreond_node r ON r.number = h.router
       LEFT JOIN centreond_origin o ON o.id = h.id LEFT JOIN centreond_node n ON n.number = o.node
       LEFT JOIN witness w ON w.id = h.id AND w.kind = 'write'
       WHERE starts_with(h.token, $1) AND NOT coalesce(o.apart, false) ORDER BY h.id`,
      [prefix],
    );
    return found.map(([id, token, code, node, epoch, origin, router, process, at]) => ({
      ...{ id: Number(id), token: String(token), code: Number(code), node: String(node), epoch: String(epoch) },
      ...{ origin: origin === null ? null : Number(origin), router: String(router), process: String(process) },
      at: Number(at),
    }));
  }

  /** Who was fenced, and who wrote rows of the tokens that begin with `prefix`, from the beginning. */
  async seen(prefix: string): Promise<Seen[]> {
    const found = await this.query(
      `SELECT kind, who, router, token FROM witness WHERE kind = 'fence' OR starts_with(token, $1) ORDER BY place`,
      [prefix],
    );
    return found.map(([kind, who, router, token]) => {
      const by = String(who);
      return kind === 'fence' ? { kind, by, router: String(router) } : { kind: 'write', by, token: String(token) };
    });
  }
}
