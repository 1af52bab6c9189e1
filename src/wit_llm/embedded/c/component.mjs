// node component.mjs CORE.wasm WIT WORLD OUT.wasm: a core module for WASI preview 1 becomes a component.
import { readFile, writeFile } from 'node:fs/promises';
import { componentEmbed, componentNew } from '@bytecodealliance/jco-transpile/wasm-tools';
import { _addPreopen } from '@bytecodealliance/preview2-shim/filesystem';

const ADAPTER = new URL('node_modules/@bytecodealliance/jco/lib/wasi_snapshot_preview1.command.wasm', import.meta.url);

// preview2-shim 0.26.1 opens no folder by itself, and without one componentEmbed finds no WIT.
_addPreopen('/', '/');
const [core, witPath, world, out] = process.argv.slice(2);
const embedded = await componentEmbed({ binary: await readFile(core), witPath, world });
await writeFile(out, await componentNew(embedded, [['wasi_snapshot_preview1', await readFile(ADAPTER)]]));
