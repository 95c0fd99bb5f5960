import type { MessagePort } from 'node:worker_threads';
import { collectStartGarbage } from '@centreond/plugin-runtime/start-garbage';
import { reasonOf } from '@centreond/protocol';
import type { Answers, FromReader, Question, ToReader } from './questions.ts';

type Answer = Answers[keyof Answers];

/** What answers questions about the history. */
export interface Answering {
  answer(question: Question): Answer | Promise<Answer>;
  close(): void | Promise<void>;
}

/** Serves the other end of `port`: answers questions as they come, and closes once all of them are answered. */
export async function serveQuestions(port: MessagePort, open: () => Answering | Promise<Answering>): Promise<void> {
  const send = (message: FromReader) => port.postMessage(message);
  let reader: Answering;
  try {
    reader = await open();
  } catch (error) {
    send({ kind: 'unusable', reason: reasonOf(error) });
    port.close();
    return;
  }
  const underWay = new Set<Promise<void>>();
  const answer = async (number: number, question: Question) => {
    try {
      send({ kind: 'answer', number, answer: await reader.answer(question), failed: undefined });
    } catch (error) {
      send({ kind: 'answer', number, answer: undefined, failed: reasonOf(error) });
    }
  };
  port.on('message', (message: ToReader) => {
    if (message.kind === 'ask') {
      const answered = answer(message.number, message.question);
      underWay.add(answered);
      void answered.then(() => underWay.delete(answered));
      return;
    }
    void Promise.all(underWay).then(async () => {
      await reader.close();
      port.close();
    });
  });
  send({ kind: 'ready' });
  collectStartGarbage();
}
