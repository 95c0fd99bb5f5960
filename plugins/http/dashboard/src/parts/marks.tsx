import type { NodeState, Request } from '../api/shapes.ts';

/** A state: each has a shape and a colour of its own. */
export type Mark = 'up' | 'connecting' | 'unreachable' | 'open' | 'finished' | 'failed' | 'idle' | 'warning' | 'step';

const SHAPES: Readonly<Record<Mark, string>> = {
  up: 'M8 2.5a5.5 5.5 0 1 1 0 11a5.5 5.5 0 1 1 0-11Z',
  finished: 'M3 8.6l3.4 3.4L13.2 4.6',
  connecting: 'M8 2.2L14 13.4H2Z',
  warning: 'M8 2.2L14 13.4H2Z',
  unreachable: 'M3.5 3.5l9 9m0-9l-9 9',
  failed: 'M3.5 3.5l9 9m0-9l-9 9',
  open: 'M8 3a5 5 0 1 1-5 5',
  idle: 'M3 8h10',
  step: 'M8 5a3 3 0 1 1 0 6a3 3 0 1 1 0-6Z',
};

/** The shape of a state; what it means is in the words beside it. */
export function MarkIcon({ mark }: { mark: Mark }) {
  return (
    <svg class={`mark mark-${mark}`} viewBox="0 0 16 16" aria-hidden="true" focusable="false">
      <path d={SHAPES[mark]} />
    </svg>
  );
}

/** A state as shape, colour and word. */
export function Badge({ mark, children }: { mark: Mark; children: preact.ComponentChildren }) {
  return (
    <span class={`badge badge-${mark}`}>
      <MarkIcon mark={mark} />
      <span>{children}</span>
    </span>
  );
}

export const nodeMark = (state: NodeState): Mark => state;

/** How a request stands. */
export function requestState({ code, endedAt }: Pick<Request, 'code' | 'endedAt'>): 'open' | 'finished' | 'failed' {
  if (endedAt === null) return 'open';
  return code === 1 ? 'failed' : 'finished';
}

/** How a plugin or an instance fares, by its state and its health. */
export function pluginMark(state: string, health: { readonly state: string } | null): Mark {
  if (state === 'ready') return health && health.state !== 'ok' ? 'warning' : 'up';
  if (['starting', 'restarting', 'draining', 'stopping'].includes(state)) return 'connecting';
  if (['idle', 'on-demand'].includes(state)) return 'idle';
  return 'unreachable';
}

/** How a router of the cluster stands. */
export function routerMark(state: string): Mark {
  if (state === 'up') return 'up';
  if (state === 'silent') return 'warning';
  return state === 'stopped' ? 'idle' : 'unreachable';
}
