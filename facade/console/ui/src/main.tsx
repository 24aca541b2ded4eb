import '@cloudscape-design/global-styles/index.css';
import 'virtual:theme.css';
import './style.css';
import { createRoot } from 'react-dom/client';
import { App } from './app/App';

createRoot(document.getElementById('root')!).render(<App />);
