/** A database of PostgreSQL by its URL, without what is secret in that. */
export interface Address {
  readonly user: string;
  readonly host: string;
  readonly port: string;
  readonly database: string;
  /** As it may be shown: `postgresql://USER@HOST:PORT/DATABASE`. */
  readonly shown: string;
}

/** What is wrong with a URL: the rest of a sentence, which holds nothing of it. */
export interface NoAddress {
  readonly reason: string;
}

const FORM = 'write it as postgresql://USER:PASSWORD@HOST:PORT/DATABASE';

/** Reads a URL as libpq writes it. */
export function addressOf(text: string): Address | NoAddress {
  if (!/^postgres(ql)?:\/\//.test(text)) return { reason: `is not a URL of PostgreSQL; ${FORM}` };
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    return { reason: `is not a URL; ${FORM}, with the special characters of a password as %40 and the like` };
  }
  const word = (encoded: string) => {
    try {
      return decodeURIComponent(encoded);
    } catch {
      return encoded;
    }
  };
  const database = word(url.pathname.slice(1));
  if (database === '') return { reason: `names no database; ${FORM}` };
  const user = word(url.username);
  if (user === '') return { reason: `names no user; ${FORM}` };
  const host = url.searchParams.get('host') ?? (url.hostname === '' ? 'localhost' : word(url.hostname));
  const port = url.searchParams.get('port') ?? (url.port === '' ? '5432' : url.port);
  return { user, host, port, database, shown: `postgresql://${user}@${host}:${port}/${database}` };
}
