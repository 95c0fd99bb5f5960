/** The worker thread that writes: many calls, one transaction, one fsync. */
import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { collectStartGarbage } from '@centreond/plugin-runtime/start-garbage';
import { reasonOf } from '@centreond/protocol';
import type { FromWriter, ToWriter } from '../batch.ts';
import { type SqliteWriterSettings, Writer } from './writer.ts';

/** Waiting batches join a transaction until it has this many calls, or characters. */
const CALLS_PER_TRANSACTION = 2000;
const SIZE_PER_TRANSACTION = 8 * 1024 * 1024;

/** Serves the other end of `port`: batches as they come, and between two of them one chunk of a purge. */
function serve(port: MessagePort, settings: SqliteWriterSettings): void {
  const send = (message: FromWriter) => port.postMessage(message);
  let writer: Writer;
  try {
    writer = new Writer(settings);
  } catch (error) {
    send({ kind: 'unusable', reason: reasonOf(error) });
    port.close();
    return;
  }
  const guard = (what: string, work: () => void) => {
    try {
      work();
    } catch (error) {
      send({ kind: 'fault', reason: `${what}: ${reasonOf(error)}` });
    }
  };
  let purging = false;
  /** Why a transaction failed, until its failure is known: what was sent before that must not overtake it. */
  let halted: string | undefined;

  const purgeOn = () => {
    if (!purging) return;
    let failed: string | undefined;
    try {
      purging = writer.purge.chunk(writer.measure());
    } catch (error) {
      purging = false;
      failed = reasonOf(error);
    }
    guard('copying the write-ahead log into the database', () => writer.checkpoint());
    if (purging) setImmediate(purgeOn);
    else {
      guard('measuring the database', () => writer.measure());
      send({
        kind: 'purged',
        ...writer.purge.done(),
        bytes: writer.bytes,
        failed,
      });
    }
  };

  const handle = (message: ToWriter) => {
    if (message.kind === 'purge') {
      try {
        writer.purge.start(message.wall, message.monotonic);
      } catch (error) {
        send({ kind: 'purged', rows: 0, requests: 0, bytes: writer.bytes, failed: reasonOf(error) });
        return;
      }
      if (!purging) setImmediate(purgeOn);
      purging = true;
    } else if (message.kind === 'again') halted = undefined;
    else if (message.kind === 'close') {
      if (purging)
        send({
          kind: 'purged',
          ...writer.purge.done(),
          bytes: writer.bytes,
          failed: 'the store was closed',
        });
      purging = false;
      guard('closing the database', () => writer.close());
      port.close();
    }
  };

  port.on('message', (first: ToWriter) => {
    if (first.kind !== 'batch') return handle(first);
    const batches = [first.batch];
    let calls = first.batch.kinds.length;
    let size = first.batch.size;
    let other: ToWriter | undefined;
    while (calls < CALLS_PER_TRANSACTION && size < SIZE_PER_TRANSACTION) {
      const next: { message: ToWriter } | undefined = receiveMessageOnPort(port);
      if (!next) break;
      if (next.message.kind !== 'batch') {
        other = next.message;
        break;
      }
      batches.push(next.message.batch);
      calls += next.message.batch.kinds.length;
      size += next.message.batch.size;
    }
    const outcome = halted === undefined ? writer.write(batches) : writer.refuse(batches, halted);
    halted = outcome.failed;
    send(outcome);
    guard('copying the write-ahead log into the database', () => writer.checkpoint());
    if (other) handle(other);
  });
  send({ kind: 'ready', bytes: writer.bytes, epoch: writer.epoch });
  collectStartGarbage();
}

if (parentPort) serve(parentPort, workerData as SqliteWriterSettings);
