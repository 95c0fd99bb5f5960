/** The worker thread that reads from PostgreSQL: answers are made into text and rows apart from the router. */
import { parentPort } from 'node:worker_threads';
import { serveQuestions } from '../question-port.ts';
import { PostgresReader, type PostgresReaderSettings } from './reader.ts';

// The first message names the database, once the writer has prepared it.
const port = parentPort;
port?.once(
  'message',
  (settings: PostgresReaderSettings) => void serveQuestions(port, () => PostgresReader.open(settings)),
);
