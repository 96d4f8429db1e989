import assert from 'node:assert/strict'
import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { buffer } from 'node:stream/consumers'
import { after, before, describe, it } from 'node:test'
import type { DoomedObject, RawBackend, SignedPart, StorageBackend, StorageUri } from '../../src/storage/backend.ts'
import { resuming } from '../../src/storage/resume.ts'

export interface StorageFixture {
  /** Closed by the suite. */
  readonly backend: RawBackend
  /** The URI of a key, apart from what other tests store. */
  uri(key: string): StorageUri
}

export interface StorageContractOptions {
  create(): Promise<StorageFixture>
  /** Legal keys beyond those that every backend must keep apart. */
  readonly moreKeys?: readonly string[]
}

/** Pairs that a careless backend takes for one key, or cannot name. */
const KEYS = [
  'a b',
  'a%20b',
  'a+b',
  'a%2Fb',
  'a?b=c',
  'a#b',
  'a&b;c=d',
  "a'b(c)*!",
  'a:b@c',
  '\u00e9',
  'e\u0301',
  '日本/🙂',
  '...',
  '.a',
  '~a',
]

const MIB = 1024 * 1024

/** The storage contract: of a backend as everybody gets it, with bodies that are counted and taken up again. */
export function testStorageBackend(name: string, { create, moreKeys = [] }: StorageContractOptions): void {
  describe(`${name}: storage contract`, () => {
    let backend: StorageBackend
    let fixture: StorageFixture
    before(async () => {
      fixture = await create()
      backend = resuming(fixture.backend)
    })
    after(() => backend.close())
    const newUri = (): StorageUri => fixture.uri(randomUUID())
    const read = async (uri: StorageUri): Promise<Buffer> => buffer((await backend.get(uri)).body)

    async function stored(content: string): Promise<StorageUri> {
      const uri = newUri()
      await backend.put(uri, chunked(Buffer.from(content)))
      return uri
    }

    it('looks at an object without opening it', async () => {
      const uri = await stored('{"a":1}')
      const { etag, body } = await backend.get(uri)
      body.destroy()
      assert.deepEqual(await backend.stat(uri), { sizeBytes: 7, etag })
      await assert.rejects(backend.stat(newUri()), { code: 'OBJECT_MISSING' })
      const reason = new Error('not wanted any more')
      await assert.rejects(backend.stat(uri, { signal: AbortSignal.abort(reason) }), reason)
    })

    it('is usable', async () => {
      await backend.check()
    })

    describe('put and get', () => {
      for (const sizeBytes of [0, 1, 300_000, 6 * MIB + 1]) {
        it(`returns the ${sizeBytes} bytes that were put, announced or not`, async () => {
          const bytes = randomBytes(sizeBytes)
          for (const announced of [sizeBytes, undefined]) {
            const uri = newUri()
            assert.equal((await backend.put(uri, chunked(bytes), { sizeBytes: announced })).sizeBytes, sizeBytes)
            const object = await backend.get(uri)
            assert.equal(object.sizeBytes, sizeBytes)
            assert.ok(bytes.equals(await buffer(object.body)))
          }
        })
      }

      it('returns a body of many parts unchanged', async () => {
        const uri = newUri()
        const [sent, received] = [createHash('sha256'), createHash('sha256')]
        const body = (async function* () {
          for (let count = 0; count < 17; count += 1) {
            const chunk = randomBytes(MIB)
            sent.update(chunk)
            yield chunk
          }
        })()
        await backend.put(uri, body)
        for await (const chunk of (await backend.get(uri)).body) received.update(chunk)
        assert.equal(received.digest('hex'), sent.digest('hex'))
      })

      it('takes empty chunks', async () => {
        const uri = newUri()
        await backend.put(uri, yielding('', 'a', '', 'b', ''))
        assert.equal(String(await read(uri)), 'ab')
      })

      it('emits Buffers', async () => {
        const uri = await stored('abc')
        for await (const chunk of (await backend.get(uri)).body) assert.ok(Buffer.isBuffer(chunk))
      })

      it('keeps keys apart byte for byte', async () => {
        const prefix = randomUUID()
        const keys = [...KEYS, ...moreKeys]
        for (const key of keys) await backend.put(fixture.uri(`${prefix}/${key}`), yielding(key))
        for (const key of keys) assert.equal(String(await read(fixture.uri(`${prefix}/${key}`))), key)
        for (const key of keys) await backend.delete(fixture.uri(`${prefix}/${key}`))
        for (const key of keys) await rejectsAsMissing(backend, fixture.uri(`${prefix}/${key}`))
      })

      it('rejects a missing object before any byte is read', async () => {
        await rejectsAsMissing(backend, newUri())
      })

      it('names a version by its etag', async () => {
        const uri = await stored('one')
        const first = await etagOf(backend, uri)
        assert.equal(await etagOf(backend, uri), first)
        await backend.delete(uri)
        await backend.put(uri, yielding('other'))
        if (first !== null) assert.notEqual(await etagOf(backend, uri), first)
      })
    })

    describe('versions', () => {
      it('opens the one that was asked for, whole or in part, and no other', async () => {
        const uri = await stored('first')
        const etag = await etagOf(backend, uri)
        if (etag === null) return
        for (const range of [undefined, { start: 0, end: 5 }]) {
          assert.equal(String(await buffer((await backend.get(uri, { ifMatch: etag, range })).body)), 'first')
        }
        await backend.delete(uri)
        await assert.rejects(backend.get(uri, { ifMatch: etag }), { code: 'OBJECT_MISSING' })
        await backend.put(uri, yielding('other'))
        for (const range of [undefined, { start: 0, end: 5 }, { start: 0, end: 9 }]) {
          await assert.rejects(backend.get(uri, { ifMatch: etag, range }), { code: 'CONFLICT' })
        }
      })
    })

    describe('ranges', () => {
      it('opens a half-open range and still reports the whole size', async () => {
        const uri = await stored('0123456789')
        for (const [start, end] of [
          [2, 5],
          [0, 1],
          [9, 10],
          [0, 10],
        ] as const) {
          const object = await backend.get(uri, { range: { start, end } })
          assert.equal(object.sizeBytes, 10)
          assert.equal(String(await buffer(object.body)), '0123456789'.slice(start, end))
        }
      })

      it('rejects a range that is empty or reaches outside the object', async () => {
        const uri = await stored('0123456789')
        for (const [start, end] of [
          [2, 11],
          [10, 11],
          [20, 30],
          [3, 3],
          [5, 2],
          [-1, 3],
        ] as const) {
          await assert.rejects(backend.get(uri, { range: { start, end } }), { code: 'RANGE_NOT_SATISFIABLE' })
        }
        assert.equal(String(await read(uri)), '0123456789')
      })

      it('rejects every range of an empty object', async () => {
        const uri = await stored('')
        await assert.rejects(backend.get(uri, { range: { start: 0, end: 1 } }), { code: 'RANGE_NOT_SATISFIABLE' })
      })

      it('rejects a range of a missing object as missing', async () => {
        await assert.rejects(backend.get(newUri(), { range: { start: 0, end: 1 } }), { code: 'OBJECT_MISSING' })
      })
    })

    describe('create-only', () => {
      for (const [kind, sizeBytes] of [
        ['announced', 4],
        ['not announced', undefined],
      ] as const) {
        it(`never replaces an object by a body whose length is ${kind}`, async () => {
          const uri = await stored('first')
          await assert.rejects(backend.put(uri, yielding('more'), { sizeBytes }), { code: 'CONFLICT' })
          assert.equal(String(await read(uri)), 'first')
        })
      }

      it('never replaces an object by a body of many parts', async () => {
        const uri = await stored('first')
        await assert.rejects(backend.put(uri, chunked(Buffer.alloc(6 * MIB))), { code: 'CONFLICT' })
        assert.equal(String(await read(uri)), 'first')
      })

      it('lets one of many racing puts win', async () => {
        const uri = newUri()
        const racers = Array.from({ length: 12 }, (_, index) => backend.put(uri, yielding(`racer ${index}`)))
        const results = await Promise.allSettled(racers)
        const winners = results.flatMap((result, index) => (result.status === 'fulfilled' ? [index] : []))
        const codes = results.flatMap((result) => (result.status === 'rejected' ? [result.reason.code] : []))
        assert.equal(winners.length, 1)
        assert.deepEqual(new Set(codes), new Set(['CONFLICT']))
        assert.equal(String(await read(uri)), `racer ${winners[0]}`)
      })
    })

    describe('a put that fails', () => {
      for (const [kind, sizeBytes, chunkBytes] of [
        ['short', 10, 4],
        ['long', 10, 6],
        ['long and big', 6 * MIB, 4 * MIB],
        ['short and big', 9 * MIB, 4 * MIB],
      ] as const) {
        it(`leaves nothing of a body that is too ${kind}`, async () => {
          const uri = newUri()
          const body = chunked(Buffer.alloc(chunkBytes * 2), chunkBytes)
          await assert.rejects(backend.put(uri, body, { sizeBytes }), { code: 'BAD_REQUEST' })
          await rejectsAsMissing(backend, uri)
        })
      }

      for (const sizeBytes of [undefined, 4 * MIB, 20 * MIB]) {
        it(`throws the error of a body as it is, and leaves nothing (length ${sizeBytes})`, async () => {
          const uri = newUri()
          const broken = new Error('the sender broke')
          const body = (async function* () {
            yield Buffer.alloc(3 * MIB)
            throw broken
          })()
          await assert.rejects(backend.put(uri, body, { sizeBytes }), broken)
          await rejectsAsMissing(backend, uri)
        })

        it(`leaves nothing when it is aborted while the body hangs (length ${sizeBytes})`, async () => {
          const uri = newUri()
          const reason = new Error('client went away')
          const controller = new AbortController()
          const body = hanging({ first: Buffer.alloc(3 * MIB), onHang: () => controller.abort(reason) })
          await assert.rejects(backend.put(uri, body, { sizeBytes, signal: controller.signal }), reason)
          await rejectsAsMissing(backend, uri)
          assert.equal(body.returned(), true)
        })
      }
    })

    describe('signals', () => {
      it('rejects with the reason of a signal that is aborted already', async () => {
        const uri = await stored('kept')
        const reason = new Error('too late')
        const signal = AbortSignal.abort(reason)
        await assert.rejects(backend.get(uri, { signal }), reason)
        await assert.rejects(backend.put(newUri(), yielding('x'), { signal }), reason)
        await assert.rejects(backend.delete(uri, { signal }), reason)
        await assert.rejects(backend.check({ signal }), reason)
        assert.equal(String(await read(uri)), 'kept')
      })

      it('ends an open body with the reason', async () => {
        const uri = newUri()
        await backend.put(uri, chunked(Buffer.alloc(6 * MIB)))
        const reason = new Error('client went away')
        const controller = new AbortController()
        const { body } = await backend.get(uri, { signal: controller.signal })
        const chunks = body[Symbol.asyncIterator]()
        await chunks.next()
        controller.abort(reason)
        await assert.rejects(async () => {
          while (!(await chunks.next()).done);
        }, reason)
      })
    })

    describe('uploads by somebody else, where the store can sign them', () => {
      const requestOf = (body: Buffer, sizeBytes = body.length) => ({
        sizeBytes,
        sha256: createHash('sha256').update(body).digest(),
        contentType: 'application/json',
        expiresInSeconds: 60,
      })
      /** More than any store takes at once. */
      const huge = 6 * 1024 * MIB

      it('take exactly the body that was announced', async () => {
        if (!backend.directUploads) return
        const [uri, body] = [newUri(), Buffer.from('{"state":"direct"}')]
        const { parts, multipartId, expiresAt } = await backend.directUploads.sign(uri, requestOf(body))
        const [part] = parts
        assert.deepEqual([parts.length, part?.offset, part?.sizeBytes, multipartId], [1, 0, body.length, null])
        assert.ok(part && expiresAt.getTime() > Date.now() && expiresAt.getTime() <= Date.now() + 60_000)
        await rejectsAsMissing(backend, uri)
        for (const other of [body.subarray(1), Buffer.concat([body, body])]) {
          assert.ok((await sendSigned(part, other)) >= 400)
        }
        await rejectsAsMissing(backend, uri)
        assert.ok((await sendSigned(part, body)) < 300)
        await backend.directUploads.complete(uri, { sizeBytes: body.length, multipartId })
        assert.deepEqual(await read(uri), body)
      })

      it('of large bodies are ranges without gaps, and no object while some are missing', async () => {
        if (!backend.directUploads) return
        const [uri, body] = [newUri(), Buffer.from('x')]
        const { parts, multipartId } = await backend.directUploads.sign(uri, requestOf(body, huge))
        const end = parts.reduce((at, { offset, sizeBytes }) => (at === offset ? at + sizeBytes : Number.NaN), 0)
        assert.equal(end, huge)
        assert.ok(parts.length <= 1000 && multipartId !== null)
        const upload = { sizeBytes: huge, multipartId }
        await assert.rejects(backend.directUploads.complete(uri, upload), { code: 'OBJECT_MISSING' })
        await backend.directUploads.abort(uri, upload)
        await backend.directUploads.abort(uri, upload)
        await backend.directUploads.abort(uri, { sizeBytes: huge, multipartId: null })
        await backend.directUploads.complete(uri, upload)
        await rejectsAsMissing(backend, uri)
      })

      it('are given up with what is not there, and keep an object that is', async () => {
        if (!backend.directUploads) return
        const uri = await stored('kept')
        await backend.directUploads.abort(uri, { sizeBytes: 4, multipartId: null })
        await backend.directUploads.abort(uri, { sizeBytes: huge, multipartId: null })
        assert.equal(String(await read(uri)), 'kept')
      })

      it('live 1 second to 7 days', async () => {
        if (!backend.directUploads) return
        for (const expiresInSeconds of [0, -1, 1.5, 604_801, Number.NaN]) {
          const request = { ...requestOf(Buffer.from('x')), expiresInSeconds }
          await assert.rejects(backend.directUploads.sign(newUri(), request), { code: 'BAD_REQUEST' })
        }
      })
    })

    it('frees what a destroyed body held', async () => {
      const uri = newUri()
      await backend.put(uri, chunked(Buffer.alloc(MIB)))
      for (let count = 0; count < 100; count += 1) (await backend.get(uri)).body.destroy()
      assert.equal((await read(uri)).length, MIB)
    })

    describe('copies, where the store makes them', () => {
      it('are whole objects of their own', async () => {
        if (!backend.copy) return
        const [from, to] = [await stored('0123456789'), newUri()]
        assert.equal((await backend.copy(from, to, { sizeBytes: 10 })).sizeBytes, 10)
        await backend.delete(from)
        assert.equal(String(await read(to)), '0123456789')
      })

      it('never replace an object, and are not made of one that is missing or has another size', async () => {
        if (!backend.copy) return
        const [from, taken, to] = [await stored('0123456789'), await stored('kept'), newUri()]
        await assert.rejects(backend.copy(from, taken, { sizeBytes: 10 }), { code: 'CONFLICT' })
        assert.equal(String(await read(taken)), 'kept')
        await assert.rejects(backend.copy(newUri(), to, { sizeBytes: 10 }), { code: 'OBJECT_MISSING' })
        await assert.rejects(backend.copy(from, to, { sizeBytes: 9 }), { code: 'OBJECT_CORRUPT' })
        const signal = AbortSignal.abort(new Error('gone'))
        await assert.rejects(backend.copy(from, to, { sizeBytes: 10, signal }), { message: 'gone' })
        await rejectsAsMissing(backend, to)
      })
    })

    it('tells the name of an upload in parts before it goes on, and stops when nobody can note it', async () => {
      const uri = newUri()
      const failure = new Error('not noted')
      let isTold = false
      const onMultipart = async (multipartId: string) => {
        isTold = true
        assert.notEqual(multipartId, '')
        await rejectsAsMissing(backend, uri)
        throw failure
      }
      const put = backend.put(uri, chunked(Buffer.alloc(22 * MIB)), { onMultipart })
      if (
        await put.then(
          () => false,
          (error) => error === failure,
        )
      )
        await rejectsAsMissing(backend, uri)
      else assert.equal(isTold, false)
    })

    const doomed = (uri: StorageUri): DoomedObject => ({ uri, multipartId: null, versionId: null, isUnfinished: true })

    it('deletes many at once, absent ones too, where that is faster', async () => {
      if (!backend.deleteMany) return
      const kept = await stored('kept')
      const uris = await Promise.all(Array.from({ length: 5 }, (_, index) => stored(String(index))))
      assert.deepEqual(await backend.deleteMany([...uris, newUri()].map(doomed)), new Array(6).fill(null))
      for (const uri of uris) await rejectsAsMissing(backend, uri)
      assert.equal(String(await read(kept)), 'kept')
      assert.deepEqual(await backend.deleteMany([]), [])
      const signal = AbortSignal.abort(new Error('gone'))
      await assert.rejects(backend.deleteMany([doomed(kept)], { signal }), { message: 'gone' })
      assert.equal(String(await read(kept)), 'kept')
    })

    it('lists what begins with a prefix, where the store can tell, each object once', async () => {
      if (!backend.list) return
      const [group, other] = [`list-${randomUUID()}`, `list-${randomUUID()}`]
      const keys = Array.from({ length: 230 }, (_, index) => `${group}/${index % 3}/${index}`)
      const began = Date.now()
      for (let at = 0; at < keys.length; at += 46) {
        const some = keys.slice(at, at + 46)
        await Promise.all(some.map((key) => backend.put(fixture.uri(key), yielding(key.slice(-5)))))
      }
      await backend.put(fixture.uri(`${other}/x`), yielding('other'))
      await backend.delete(fixture.uri(keys[7] ?? ''))
      const listed = async (prefix: string) => {
        const pages = await Array.fromAsync(backend.list?.(fixture.uri(prefix)) ?? [])
        return pages.flat()
      }
      const found = await listed(`${group}/`)
      const expected = keys.filter((_key, index) => index !== 7).map((key) => fixture.uri(key).key)
      assert.deepEqual(found.map(({ uri }) => uri.key).toSorted(), expected.toSorted())
      for (const { uri, sizeBytes, modifiedAt, isHidden } of found) {
        assert.deepEqual([uri, sizeBytes, isHidden], [{ ...fixture.uri('x'), key: uri.key }, 5, false])
        assert.ok(Math.abs(modifiedAt.getTime() - began) < 600_000)
      }
      assert.equal((await listed(`${group}/1/1`)).length, keys.filter((key) => key.startsWith(`${group}/1/1`)).length)
      assert.deepEqual(await listed(`${group}-nothing/`), [])
      const signal = AbortSignal.abort(new Error('gone'))
      const refused = Array.fromAsync(backend.list(fixture.uri(`${group}/`), { signal }))
      await assert.rejects(refused, { message: 'gone' })
    })

    it('deletes, and deletes again without complaint', async () => {
      const uri = await stored('x')
      await backend.delete(uri)
      await backend.delete(uri)
      await backend.delete(uri, doomed(uri))
      await rejectsAsMissing(backend, uri)
    })
  })
}

/** @returns the status. */
async function sendSigned({ url, headers }: SignedPart, body: Buffer): Promise<number> {
  // fetch adds the length of the body that it sends.
  const { 'content-length': _length, ...rest } = headers
  const response = await fetch(url, { method: 'PUT', headers: rest, body: new Uint8Array(body) })
  await response.arrayBuffer()
  return response.status
}

async function rejectsAsMissing(backend: StorageBackend, uri: StorageUri): Promise<void> {
  await assert.rejects(backend.get(uri), { code: 'OBJECT_MISSING' })
}

async function etagOf(backend: StorageBackend, uri: StorageUri): Promise<string | null> {
  const { etag, body } = await backend.get(uri)
  body.destroy()
  return etag
}

export async function* chunked(bytes: Buffer, chunkBytes = 64 * 1024): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += chunkBytes) yield bytes.subarray(at, at + chunkBytes)
}

export async function* yielding(...texts: readonly string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield Buffer.from(text)
}

export interface HangingBody extends AsyncIterable<Uint8Array> {
  /** Whether the reader let go of it. */
  returned(): boolean
}

/** A sender that stops in the middle without ending. */
export function hanging({ first, onHang }: { readonly first: Buffer; onHang(): void }): HangingBody {
  let isReturned = false
  let count = 0
  const iterator: AsyncIterator<Uint8Array> = {
    next() {
      count += 1
      if (count === 1) return Promise.resolve({ done: false, value: first })
      onHang()
      return new Promise(() => undefined)
    },
    async return() {
      isReturned = true
      return { done: true, value: undefined }
    },
  }
  return { returned: () => isReturned, [Symbol.asyncIterator]: () => iterator }
}
