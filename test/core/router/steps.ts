import type { CentreondError, JsonObject } from '@centreond/protocol';
import type { Executor } from '../../../core/dist/router/executor.js';
import { Answer, type Asked, type OpenRequest } from '../../../core/dist/router/request.js';

/** A plugin whose every answer its test decides. */
export class Steps implements Executor {
  readonly asked: { action: string; data: JsonObject; asked: Asked }[] = [];
  readonly admitted: OpenRequest[] = [];
  readonly submitted: OpenRequest[] = [];
  readonly withdrawn: OpenRequest[] = [];
  readonly aborted: CentreondError[] = [];
  answer: () => Answer | Promise<Answer> = () => new Answer('{"a":1}');
  admission: () => CentreondError | undefined | Promise<CentreondError | undefined> = () => undefined;
  ask(asked: { name: string }, data: JsonObject, _: unknown, more: Asked): Answer | Promise<Answer> {
    this.asked.push({ action: asked.name, data, asked: more });
    return this.answer();
  }
  admit(open: OpenRequest) {
    this.admitted.push(open);
    return this.admission();
  }
  submit(open: OpenRequest): void {
    this.submitted.push(open);
  }
  withdraw(open: OpenRequest): void {
    this.withdrawn.push(open);
  }
  abort(_: OpenRequest, reason: CentreondError): void {
    this.aborted.push(reason);
  }
  hearers = () => [];
  ids = () => [];
  kill = async () => {};
  status = () => ({
    type: 'steps',
    package: '',
    version: '',
    state: 'up',
    health: null,
    metrics: [],
    waiting: 0,
    instances: [],
  });
}
