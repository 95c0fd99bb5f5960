import { render } from 'preact';
import './styles/base.css';
import './styles/parts.css';
import './styles/tables.css';
import './styles/fleet.css';
import './styles/timeline.css';
import './styles/forms.css';
import { App } from './app.tsx';

const root = document.getElementById('app');
if (!root) throw new Error('index.html has no #app');
root.replaceChildren();
render(<App />, root);
