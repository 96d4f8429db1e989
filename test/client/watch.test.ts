import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createClient, type RunEvent } from '../../src/client/client.ts'
import { readEvents } from '../../src/client/event-stream.ts'
import { AppError } from '../../src/errors.ts'
import type { EventFrame } from '../../src/graphql/event-stream.ts'
import { frameOf, type HandStream, serveLive } from '../support/live-front.ts'
import { eventually } from '../support/put.ts'
import { recordingClient } from './recording.ts'

const RUN = { runId: 'r', status: 'RUNNING', updatedAt: '2026-01-01T00:00:00.000Z' }

const captured = (id: number): EventFrame =>
  frameOf(`c${id}`, { type: 'SnapshotCaptured', cursor: `c${id}`, snapshot: { snapshotId: `s${id}` } })
const updated = (cursor: string, status: string): EventFrame =>
  frameOf(cursor, { type: 'RunUpdated', cursor, run: { ...RUN, status } })
const caughtUp = (cursor: string): EventFrame => frameOf(cursor, { type: 'CaughtUp', cursor })
const ended = (run: object | null): EventFrame => frameOf('end', { type: 'RunEnded', cursor: 'end', run }, true)

function sendAll(stream: HandStream, frames: readonly EventFrame[]): void {
  for (const frame of frames) stream.send(frame)
}

/** What an event is about, in a word. */
function nameOf(event: RunEvent): string {
  if (event.type === 'SnapshotCaptured') return event.snapshot.snapshotId
  return event.type === 'RunUpdated' ? event.run.status : event.type
}

async function namesOf(events: AsyncIterable<RunEvent>): Promise<string[]> {
  const names: string[] = []
  for await (const event of events) names.push(nameOf(event))
  return names
}

describe('watchRun', () => {
  it('goes on where it broke off, tells nothing twice, and ends with the run', async () => {
    await using front = await serveLive()
    const client = createClient({ url: front.url, token: 'secret' })
    const losses: string[] = []
    const names = namesOf(client.watchRun('r', { after: 'c0', onReconnect: ({ code }) => losses.push(code) }))
    const first = await front.subscribed()
    assert.equal(first.after, 'c0')
    sendAll(first, [captured(1), updated('c1', 'RUNNING'), captured(2), caughtUp('c2'), captured(3)])
    await eventually(async () => assert.equal(first.taken, 5))
    first.end()
    const second = await front.subscribed()
    assert.equal(second.after, 'c3')
    sendAll(second, [captured(2), captured(3), updated('c3', 'RUNNING'), caughtUp('c3'), captured(4)])
    sendAll(second, [updated('c4', 'FAILED'), ended({ ...RUN, status: 'FAILED' })])
    assert.deepEqual(await names, ['s1', 'RUNNING', 's2', 'CaughtUp', 's3', 's4', 'FAILED', 'RunEnded'])
    assert.deepEqual(losses, ['NETWORK'])
  })

  it('sends the token to the server alone, and no request but its own', async () => {
    await using front = await serveLive()
    const client = recordingClient({ url: front.url, token: 'secret' })
    const names = namesOf(client.watchRun('r'))
    sendAll(await front.subscribed(), [ended(null)])
    assert.deepEqual(await names, ['RunEnded'])
    assert.deepEqual([client.requests, client.authorizations], [['POST /graphql'], ['Bearer secret']])
  })

  it('tries again what may pass, and no other failure', async () => {
    let failure: AppError | undefined = new AppError('OVERLOADED', 'Later')
    await using front = await serveLive({ refuse: () => failure })
    const client = createClient({ url: front.url })
    const onReconnect = () => {
      failure = undefined
    }
    const names = namesOf(client.watchRun('r', { onReconnect }))
    sendAll(await front.subscribed(), [captured(1), frameOf('', null, true)])
    await assert.rejects(names, { code: 'UNEXPECTED_ANSWER' })
    failure = new AppError('BAD_REQUEST', 'That cursor is none')
    await assert.rejects(namesOf(client.watchRun('r', { after: 'x' })), { code: 'BAD_REQUEST', retryable: false })
    failure = new AppError('DATABASE_UNAVAILABLE', 'Down')
    await assert.rejects(namesOf(client.watchRun('r', { retries: 1 })), { code: 'DATABASE_UNAVAILABLE' })
  })

  it('lets go when its loop is left, and when its signal fires', async () => {
    await using front = await serveLive()
    const client = createClient({ url: front.url })
    const left = (async () => {
      for await (const event of client.watchRun('r')) return nameOf(event)
      return undefined
    })()
    const stream = await front.subscribed()
    stream.send(captured(1))
    assert.equal(await left, 's1')
    await stream.ended
    const over = new AbortController()
    const waiting = namesOf(client.watchRun('r', { signal: over.signal }))
    const other = await front.subscribed()
    over.abort(new Error('enough'))
    await assert.rejects(waiting, { message: 'enough' })
    await other.ended
  })

  it('takes a silence for a connection that is dead', async () => {
    await using front = await serveLive()
    const headers = { 'content-type': 'application/json' }
    const body = JSON.stringify({ query: 'subscription { runEvents(runId: "r") { __typename } }' })
    const call = { url: `${front.url}/graphql`, headers, body, timeoutMillis: 5000, silenceMillis: 150 }
    const events = readEvents(fetch, call)
    const first = events.next()
    const stream = await front.subscribed()
    stream.send(frameOf('c1', 'é'))
    assert.deepEqual(await first, { done: false, value: 'é' })
    await assert.rejects(events.next(), { code: 'NETWORK', retryable: true })
    await stream.ended
  })
})

describe('waitForRun', () => {
  it('resolves with the run when that ends, and says so when it is deleted', async () => {
    await using front = await serveLive()
    const client = createClient({ url: front.url })
    const waiting = client.waitForRun('r')
    const first = await front.subscribed()
    sendAll(first, [captured(1), caughtUp('c1')])
    first.end()
    sendAll(await front.subscribed(), [ended({ ...RUN, status: 'TIMED_OUT' })])
    assert.equal((await waiting).status, 'TIMED_OUT')
    const deleted = client.waitForRun('r')
    sendAll(await front.subscribed(), [ended(null)])
    await assert.rejects(deleted, { code: 'NOT_FOUND', retryable: false })
  })
})
