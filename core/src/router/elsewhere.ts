import type { CentreondError } from '@centreond/protocol';
import type { OpenRequest, RegisteredAction } from './request.ts';

/** Other nodes, as the ladder sees them. The fleet implements it. */
export interface Elsewhere {
  /** Whether `target` is a node that this router reaches, or may reach. */
  knows(target: string): boolean;
  /** Whether `action`, which no plugin here declares, may exist on `target` or on any other node. */
  mayKnow(action: string, target: string): boolean;
  /** Why no request for `action` can go to `target` at all, or undefined. */
  targetFault(action: string, target: string): CentreondError | undefined;
  /** `name` as it runs on another node. `local` is the action of that name here, if there is one. */
  action(name: string, local: RegisteredAction | undefined): RegisteredAction;
  /** Takes a request of an earlier run of this daemon, which may have handed it over. */
  resume(open: OpenRequest): void;
}
