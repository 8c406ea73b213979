import { readFileSync } from 'node:fs';

export interface HeaderEntry {
  dtype: string;
  shape: number[];
  data_offsets: [number, number];
}

/** A safetensors file taken apart, to be put together otherwise. */
export interface Parts {
  header: Record<string, HeaderEntry>;
  data: Buffer;
}

export function takeApart(file: string): Parts {
  const bytes = readFileSync(file);
  const start = 8 + Number(bytes.readBigUInt64LE());
  const { __metadata__: _, ...header } = JSON.parse(bytes.subarray(8, start).toString());
  return { header, data: Buffer.from(bytes.subarray(start)) };
}

/** `length`: what the first 8 bytes claim, where that is not the header's length. */
export function putTogether({ header, data }: Parts, length?: bigint): Buffer {
  return withHeader(Buffer.from(JSON.stringify(header)), data, length);
}

export function withHeader(text: Buffer, data: Buffer, length?: bigint): Buffer {
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(length ?? BigInt(text.length));
  return Buffer.concat([prefix, text, data]);
}

/** Without a tensor, its bytes too. */
export function without({ header, data }: Parts, name: string): Parts {
  const {
    data_offsets: [begin, end],
  } = header[name]!;
  const shift = (at: number) => (at > begin ? at - (end - begin) : at);
  const rest = Object.entries(header).filter(([other]) => other !== name);
  return {
    header: Object.fromEntries(
      rest.map(([other, entry]) => {
        const [from, to] = entry.data_offsets;
        return [other, { ...entry, data_offsets: [shift(from), shift(to)] }];
      }),
    ),
    data: Buffer.concat([data.subarray(0, begin), data.subarray(end)]),
  };
}
