// tensors GRAPH list|bulk BYTES ROUNDS: the same as tensors.c, from JavaScript. World `wit-llm:nn/guest-program`.
import { getArguments } from 'wasi:cli/environment@0.2.0';
import { getStdout } from 'wasi:cli/stdout@0.2.0';
import { loadByName } from 'wasi:nn/graph@0.2.0-rc-2024-10-28';
import { Tensor } from 'wasi:nn/tensor@0.2.0-rc-2024-10-28';
import { Builder, read } from 'wit-llm:nn/bulk@0.1.0';

const WORDS_AT_ONCE = 1 << 16;

function intoHost(data, inWords) {
  if (!inWords) return new Tensor([data.length], 'U8', data);
  const words = new BigUint64Array(data.buffer);
  const builder = new Builder([data.length], 'U8');
  for (let at = 0; at < words.length; at += WORDS_AT_ONCE) builder.append(words.subarray(at, at + WORDS_AT_ONCE));
  return builder.finish();
}

function outOfHost(tensor, size, inWords) {
  if (!inWords) return tensor.data();
  const words = new BigUint64Array(size / 8);
  for (let at = 0; at < words.length; at += WORDS_AT_ONCE) words.set(read(tensor, at, WORDS_AT_ONCE), at);
  return new Uint8Array(words.buffer);
}

function same(sent, back) {
  const [a, b] = [sent, back].map(({ buffer, byteOffset, length }) => new Uint32Array(buffer, byteOffset, length / 4));
  for (let at = 0; at < a.length; at++) if (a[at] !== b[at]) return false;
  return a.length === b.length;
}

export const run = {
  run() {
    const [, name, way, size, rounds] = getArguments();
    const sent = new Uint8Array(Number(size));
    for (let at = 0; at < sent.length; at++) sent[at] = at * 31 + at / 251;
    const context = loadByName(name).initExecutionContext();
    const took = [];
    for (let round = 0; round < Number(rounds); round++) {
      const began = performance.now();
      const input = intoHost(sent, way === 'bulk');
      const made = performance.now();
      const [[, output]] = context.compute([['x', input]]);
      const computed = performance.now();
      const back = outOfHost(output, sent.length, way === 'bulk');
      const done = performance.now();
      output[Symbol.dispose]();
      if (!same(sent, back)) throw new Error('what came back is not what went in');
      took.push([made - began, computed - made, done - computed].map(ms => Math.round(ms * 1e6)));
    }
    getStdout().blockingWriteAndFlush(new TextEncoder().encode(JSON.stringify(took) + '\n'));
  },
};
