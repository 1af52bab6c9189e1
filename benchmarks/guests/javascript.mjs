// node javascript.mjs GUEST.js WIT WORLD OUT.wasm: a module becomes a component with SpiderMonkey inside.
import { writeFile } from 'node:fs/promises';
import { componentize } from '@bytecodealliance/componentize-js';
import { _addPreopen } from '@bytecodealliance/preview2-shim/filesystem';

// preview2-shim 0.26.1 opens no folder by itself.
_addPreopen('/', '/');
const [sourcePath, witPath, worldName, out] = process.argv.slice(2);
const { component } = await componentize({ sourcePath, witPath, worldName, disableFeatures: ['http', 'fetch-event'] });
await writeFile(out, component);
