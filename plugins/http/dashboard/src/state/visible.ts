import { Store } from './store.ts';

/** Whether the tab is shown. What polls or follows stops while it is not. */
export const isVisible = new Store(!document.hidden);
document.addEventListener('visibilitychange', () => isVisible.set(!document.hidden));
