import { CallForm } from '../call/form.tsx';
import { Empty, Loading } from '../parts/notices.tsx';
import { Page } from '../parts/page.tsx';
import { hrefOf } from '../state/address.ts';
import { useStore } from '../state/store.ts';
import { actionIn, useCallable, useLive } from '../state/use-live.ts';
import { Effects } from './actions.tsx';

/** The form of an action, made from what its plugin declares. */
export function CallPage({ name, query }: { name: string; query: Readonly<Record<string, string>> }) {
  const isLoaded = useStore(useLive().declared).length > 0;
  const action = actionIn(useCallable(), name);
  return (
    <Page
      title={name}
      below={
        action && (
          <>
            <span>{action.title}</span>
            <Effects effects={action.effects} />
            <a href={hrefOf(['requests'], { action: name })}>Its requests</a>
          </>
        )
      }
    >
      {!isLoaded && <Loading what="the action" />}
      {isLoaded && !action && (
        <Empty title={`No plugin here declares the action ${name}, or it is not for this token.`}>
          <a href="#/call">Show all actions</a>
        </Empty>
      )}
      {action?.description !== undefined && <p class="description">{action.description}</p>}
      {action && <CallForm action={action} query={query} />}
    </Page>
  );
}
