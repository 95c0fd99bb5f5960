import 'reflect-metadata';
import path from 'node:path';
import {
  Action,
  type ActionContext,
  CONFIG,
  failure,
  inject,
  isCentreondError,
  LOGGER,
  type Logger,
  Plugin,
  reasonOf,
  TRANSPORT,
  type Transport,
} from '@centreond/plugin-sdk';
import {
  Chunks,
  Close,
  Closed,
  type LocalFile,
  LocalStore,
  Open,
  Opened,
  Receiver,
  type Roots,
  Taken,
} from '@centreond/receiving';
import { z } from 'zod';
import { Node } from './node.ts';
import { Pace, RATE, rateOf } from './pace.ts';
import { readManifest } from './reading.ts';
import { rootsOf } from './roots.ts';
import { Sending } from './sending.ts';

/** Rows of progress: `{file, files, bytes, total, rate, resumed, waiting?}`. */
const PROGRESS = 110;
const DAY_SECONDS = 86_400;
/** What is staged and stale is removed so often. */
const SWEEP_MS = 10 * 60_000;
/** Below the 30 s that a sender waits for an ACK. */
const ANSWER_SECONDS = 25;
/** Ends after which the request runs again, or is sent again by somebody who wants it. */
const GOES_ON: ReadonlySet<string> = new Set(['INTERRUPTED', 'PLUGIN_KILLED']);

const Root = z
  .string()
  .min(1)
  .refine((folder) => path.isAbsolute(folder), 'must be an absolute path where it is not of the config file')
  .meta({ format: 'centreond-path' });

const Config = z.strictObject({
  send: z
    .array(Root)
    .default([])
    .describe('folders of this machine from which files may be sent to nodes; relative to the config file'),
  receive: z
    .array(Root)
    .default([])
    .describe('folders of this machine below which a router may write files; relative to the config file'),
});

const Path = z.string().min(1).max(4096);

const Input = z.strictObject({
  files: z
    .array(
      z.strictObject({
        source: Path.describe('a file or folder here: below the first folder of send, or an absolute path below one'),
        destination: Path.describe(
          'what it becomes there: below the first folder of receive, or an absolute path below one; with a / at its end the source keeps its name',
        ),
      }),
    )
    .min(1)
    .max(1000),
  maxRate: z
    .union([z.int().min(1), z.string().regex(RATE, 'must be a whole number and B, KiB, MiB or GiB')])
    .optional()
    .describe('bytes a second at most: a number, or text such as 10MiB'),
});

const Bytes = z.int().min(0);
const Output = z.strictObject({
  files: z.int(),
  folders: z.int(),
  bytes: Bytes.describe('of all files'),
  bytesSent: Bytes.describe('that went to the node in this run'),
  bytesResent: Bytes.describe('of them those that had gone before, and did not arrive'),
  bytesResumed: Bytes.describe('that were there already from an earlier run'),
  seconds: z.number(),
  skipped: z
    .array(z.strictObject({ path: z.string(), reason: z.string() }))
    .describe('what is never sent, such as symbolic links; the first 1,000'),
  skippedTotal: z.int(),
  grown: z
    .array(z.strictObject({ path: z.string(), bytes: Bytes, size: Bytes }))
    .describe('files that grew meanwhile: `bytes`, which each had at the beginning, were sent; the first 1,000'),
  grownTotal: z.int(),
});

const RECEIVING = {
  access: ['router', 'internal'],
  effects: 'write',
  idempotent: true,
  reply: 'ack',
  timeoutSeconds: ANSWER_SECONDS,
  concurrency: 256,
} as const;

/** Sends files and folders to nodes, and takes what a router sends. */
@Plugin({
  type: 'files',
  title: 'Sends files and folders to nodes',
  config: Config,
  codes: { PROGRESS: { code: PROGRESS, title: 'transfer' } },
})
export default class FilesPlugin {
  readonly #send: Roots;
  readonly #receiver: Receiver<LocalFile>;
  #sweep: NodeJS.Timeout | undefined;

  constructor(
    @inject(CONFIG, Config) config: z.output<typeof Config>,
    @inject(TRANSPORT) private readonly transport: Transport,
    @inject(LOGGER) private readonly log: Logger,
  ) {
    this.#send = rootsOf(config.send, 'send');
    const store = new LocalStore();
    this.#receiver = new Receiver({ roots: rootsOf(config.receive, 'receive'), log, store: async () => store });
  }

  async start(): Promise<void> {
    this.#sweep = setInterval(() => {
      this.#receiver.tidy().catch((error: unknown) => {
        this.log.warn({ err: error }, `what is staged is not tidied: ${reasonOf(error)}`);
      });
    }, SWEEP_MS);
    this.#sweep.unref();
    await this.#receiver.tidy();
  }
  stop(): Promise<void> {
    clearInterval(this.#sweep);
    return this.#receiver.stop();
  }

  @Action('SENDFILES', {
    title: 'Send files and folders to a node',
    description:
      'TARGET is the node that receives them. Cut off or restarted, it goes on where it was. Rows of code 110 tell how far it is.',
    input: Input,
    output: Output,
    effects: 'destructive',
    idempotent: true,
    inFlight: 'requeue',
    runs: 'here',
    concurrency: 16,
    timeoutSeconds: DAY_SECONDS,
  })
  async sendFiles(
    { files, maxRate }: z.output<typeof Input>,
    context: ActionContext<typeof PROGRESS>,
  ): Promise<z.input<typeof Output>> {
    const { token, identity, target, signal } = context;
    if (target === '') {
      const reason = 'it has no TARGET: name the node that is to receive the files';
      throw failure('INVALID_DATA', { action: 'SENDFILES', reason });
    }
    const began = performance.now();
    const manifest = await readManifest(files, { roots: this.#send, identity, signal });
    const node = new Node({ transport: this.transport, target, signal });
    const sending = new Sending({
      node,
      transfer: token,
      pace: new Pace(maxRate === undefined ? undefined : rateOf(maxRate)),
      signal,
      progress: (told) => void context.progress(PROGRESS, { ...told }),
    });
    try {
      const sent = await sending.send(manifest);
      const { first: skipped, total: skippedTotal } = manifest.skipped;
      const seconds = Math.round(performance.now() - began) / 1000;
      return { ...sent, grown: [...sent.grown], seconds, skipped, skippedTotal };
    } catch (error) {
      this.#giveUp(node, token, signal.aborted ? signal.reason : error);
      throw error;
    }
  }

  /** Lets the node remove what it has staged, unless it is to go on later. */
  #giveUp(node: Node, transfer: string, reason: unknown): void {
    if (isCentreondError(reason) && GOES_ON.has(reason.code)) return;
    node.tell('FILESCLOSE', { transfer, files: [], last: true }, (error) =>
      this.log.info({ transfer }, `what is staged of ${transfer} stays there for a day: ${reasonOf(error)}`),
    );
  }

  @Action('FILESOPEN', { title: 'Begin to receive files', input: Open, output: Opened, ...RECEIVING })
  open(input: z.output<typeof Open>, { identity }: ActionContext): Promise<z.input<typeof Opened>> {
    return this.#receiver.open(input, identity);
  }

  @Action('FILESCHUNK', { title: 'Receive parts of files', input: Chunks, output: Taken, ...RECEIVING })
  take(input: z.output<typeof Chunks>): Promise<z.input<typeof Taken>> {
    return this.#receiver.take(input);
  }

  @Action('FILESCLOSE', { title: 'Put received files in place', input: Close, output: Closed, ...RECEIVING })
  close(input: z.output<typeof Close>): Promise<z.input<typeof Closed>> {
    return this.#receiver.close(input);
  }
}
