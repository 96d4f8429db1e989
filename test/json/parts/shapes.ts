/** Documents that are hard on an index, in about so many bytes; each comes in pieces, so that it need not be held. */
export interface Shape {
  readonly name: string
  chunks(sizeBytes: number, unitBytes: number): Generator<string>
}

const SEPARATOR = ','

function* list(open: string, close: string, elements: Iterable<string>): Generator<string> {
  yield open
  let isFirst = true
  for (const element of elements) {
    yield isFirst ? element : SEPARATOR + element
    isFirst = false
  }
  yield close
}

function* repeated(sizeBytes: number, make: (index: number) => string): Generator<string> {
  for (let index = 0, bytes = 0; bytes < sizeBytes; index++) {
    const element = make(index)
    bytes += element.length + 1
    yield element
  }
}

function* tree(sizeBytes: number, leafBytes: number, width: number): Generator<string> {
  if (sizeBytes <= leafBytes) {
    yield `"${'z'.repeat(Math.max(1, Math.floor(sizeBytes)))}"`
    return
  }
  yield '['
  for (let child = 0; child < width; child++) {
    if (child > 0) yield SEPARATOR
    yield* tree(sizeBytes / width, leafBytes, width)
  }
  yield ']'
}

const message = (index: number) =>
  JSON.stringify({
    id: `msg-${(index * 7919) % 1_000_003}`,
    role: index % 2 === 0 ? 'user' : 'assistant',
    content: `${'state of the run '.repeat((index * 31) % 40)}\n"${index}"`,
    usage: { input: (index * 13) % 5000, output: (index * 17) % 900, cost: ((index * 101) % 977) / 977 },
    done: index % 3 === 0,
    parent: null,
  })

export const SHAPES: readonly Shape[] = [
  {
    name: 'what an agent keeps',
    *chunks(size) {
      yield '{"config":{"model":"m"},"messages":'
      yield* list('[', ']', repeated(size, message))
      yield ',"done":true}'
    },
  },
  {
    name: 'array of numbers',
    chunks: (size) =>
      list(
        '[',
        ']',
        repeated(size, (index) => String((index * 7919) % 1_000_000_007)),
      ),
  },
  {
    name: 'object of small keys',
    chunks: (size) =>
      list(
        '{',
        '}',
        repeated(size, (index) => `"key-${index}":${index}`),
      ),
  },
  {
    name: 'one string',
    *chunks(size) {
      yield '{"text":"'
      for (let bytes = 0; bytes < size; bytes += 1024) yield 'x'.repeat(1024)
      yield '","end":true}'
    },
  },
  {
    name: '512 levels, each with some of its own',
    *chunks(size) {
      const own = 'y'.repeat(Math.floor(size / 511))
      for (let level = 0; level < 511; level++) yield `{"own":"${own}","in":`
      yield '[1]'
      yield '}'.repeat(511)
    },
  },
  {
    name: 'array of zeros',
    chunks: (size) =>
      list(
        '[',
        ']',
        repeated(size, () => '0'),
      ),
  },
  {
    name: 'objects just over a unit',
    chunks: (size, unit) =>
      list(
        '[',
        ']',
        repeated(size, (index) => `{"id":${index},"t":[${'"x",'.repeat((unit - 8) >> 2)}1]}`),
      ),
  },
  {
    name: 'objects just under a unit',
    chunks: (size, unit) =>
      list(
        '[',
        ']',
        repeated(size, (index) => `{"id":${index},"t":[${'"x",'.repeat((unit - 100) >> 2)}1]}`),
      ),
  },
  {
    name: 'strings just over a unit',
    chunks: (size, unit) =>
      list(
        '[',
        ']',
        repeated(size, (index) => `"${'s'.repeat(unit + (unit >> 6))}${index}"`),
      ),
  },
  {
    name: 'arrays of six units in 400 wrappers',
    chunks: (size, unit) =>
      list(
        '[',
        ']',
        repeated(size, () => `${'['.repeat(400)}${'1,'.repeat(3 * unit)}1${']'.repeat(400)}`),
      ),
  },
  {
    name: 'arrays of a unit in 400 wrappers',
    chunks: (size, unit) =>
      list(
        '[',
        ']',
        repeated(size, () => `${'['.repeat(400)}${'1,'.repeat((unit >> 1) + 100)}1${']'.repeat(400)}`),
      ),
  },
  {
    name: 'strings of a unit in 400 wrappers with something before and behind',
    chunks: (size, unit) =>
      list(
        '[',
        ']',
        repeated(size, () => `${'[0,'.repeat(400)}"${'z'.repeat(unit)}"${',0]'.repeat(400)}`),
      ),
  },
  {
    name: '500 levels with half a unit each',
    chunks: (size, unit) => {
      const own = `"${'p'.repeat((unit >> 1) + (unit >> 6))}"`
      return list(
        '[',
        ']',
        repeated(size, () => `${`[${own},`.repeat(500)}1${']'.repeat(500)}`),
      )
    },
  },
  { name: 'tree of eight children', chunks: (size, unit) => tree(size, unit - 1, 8) },
  { name: 'binary tree', chunks: (size, unit) => tree(size, unit / 20, 2) },
]
