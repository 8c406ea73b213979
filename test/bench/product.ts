import { Builder, encodeModel } from '@kelpie/onnx';
import { InferenceSession, Tensor } from 'onnxruntime-node';

/** GFLOP/s of the fastest of a dozen float32 products of square matrices: the limit of what is dense here. */
export async function bestProduct(threads: number, size = 2048): Promise<number> {
  const g = new Builder({ name: 'product' });
  const [a, b] = [g.input('a', 'float32', [size, size]), g.input('b', 'float32', [size, size])];
  g.output('y', g.matmul(a, b));
  const session = await InferenceSession.create(encodeModel(g.build()), {
    executionProviders: ['cpu'],
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
  });
  const matrix = () =>
    new Tensor(
      'float32',
      Float32Array.from({ length: size * size }, (_, i) => Math.sin(i)),
      [size, size],
    );
  const feeds = { a: matrix(), b: matrix() };
  const into = { y: new Tensor('float32', new Float32Array(size * size), [size, size]) };
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 12; i++) {
    const started = performance.now();
    await session.run(feeds, into);
    best = Math.min(best, performance.now() - started);
  }
  await session.release();
  return (2 * size ** 3) / best / 1e6;
}
