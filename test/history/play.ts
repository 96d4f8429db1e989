import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import type { FaultProxy } from '../support/fault-proxy.ts'
import { playAudit, playSweep } from './audit.ts'
import { playCapture, playRepeat } from './captures.ts'
import { playDelete } from './deletes.ts'
import { playLook } from './looks.ts'
import { createModel, type Model } from './model.ts'
import type { Fault, Placed, Round, Trouble } from './operations.ts'
import { playGc, playKeeping } from './retention.ts'
import { createWeather, type Weather } from './weather.ts'
import type { Member, World } from './world.ts'

/** What the players of a history share. */
export interface Stage {
  readonly world: World
  readonly model: Model
  readonly weather: Weather
  /** How often which of what was done came to what, such as `capture put: acknowledged`. */
  readonly counts: Map<string, number>
  /** Objects of others, by URI: nobody may change them. */
  readonly foreign: Map<string, Buffer>
  /** Requests to a server that is chosen, or to another one where that does not run. */
  readonly ask: (member: number) => Promise<Asked>
  count(what: string): void
}

/** One server at the moment of a request. */
export interface Asked {
  readonly url: string
  readonly member: number
  readonly start: number
}

export function createStage(world: World): Stage {
  const counts = new Map<string, number>()
  return {
    world,
    model: createModel(),
    weather: createWeather(),
    counts,
    foreign: new Map(),
    count: (what) => void counts.set(what, (counts.get(what) ?? 0) + 1),
    async ask(member) {
      for (;;) {
        const numbers = [member, ...world.members.keys()]
        const running = numbers.find((number) => world.members[number]?.replica.url !== undefined)
        const url = running === undefined ? undefined : world.members[running]?.replica.url
        if (running !== undefined && url !== undefined) return { url, member: running, start: performance.now() }
        assert.deepEqual(world.deaths, [], 'A server ended by itself')
        await world.startAll()
      }
    },
  }
}

/** Plays one round to its end. @throws AssertionError for a broken promise. */
export async function playRound(stage: Stage, { operations, trouble }: Round): Promise<void> {
  const { world, model } = stage
  // Those that were killed come back while the others go on.
  const starting = world.startAll()
  const end = await beginTrouble(stage, trouble)
  await Promise.all(operations.map((operation) => play(stage, operation)))
  await end()
  if (model.hasOpenDeletions()) {
    await world.quiet()
    model.settleDeletions()
  }
  if (world.members.every(({ replica }) => replica.url === undefined)) await starting
  assert.deepEqual(world.deaths, [], 'A server ended by itself')
}

async function play(stage: Stage, operation: Placed): Promise<void> {
  switch (operation.do) {
    case 'capture':
      return await playCapture(stage, operation)
    case 'repeat':
      return await playRepeat(stage, operation)
    case 'look':
      return await playLook(stage, operation)
    case 'delete':
    case 'delete run':
      return await playDelete(stage, operation)
    case 'approve':
    case 'hold':
      return await playKeeping(stage, operation)
    case 'gc':
      return await playGc(stage)
    case 'sweep':
      return await playSweep(stage)
    case 'audit':
      return await playAudit(stage)
  }
}

/** @returns ends it. */
async function beginTrouble(stage: Stage, trouble: Trouble | null): Promise<() => Promise<void>> {
  const member = trouble ? stage.world.members[trouble.member] : undefined
  if (!trouble || member?.replica.url === undefined) return async () => {}
  stage.count(`trouble: ${trouble.what === 'fault' ? `${trouble.target} ${trouble.fault.how}` : trouble.what}`)
  if (trouble.what === 'fault') return await beginFault(stage, trouble)
  return trouble.what === 'kill' ? beginKill(stage, member, trouble) : await beginCrash(stage, member, trouble)
}

async function beginFault(
  { world, weather }: Stage,
  { target, member, fault }: Trouble & { what: 'fault' },
): Promise<() => Promise<void>> {
  const proxy = world.members[member]?.proxies[target]
  if (!proxy) return async () => {}
  const over = weather.begin(target, member)
  await disturb(proxy, fault)
  const healed = 'millis' in fault && fault.how !== 'latency' ? delay(fault.millis).then(() => proxy.heal()) : undefined
  return async () => {
    await healed
    await proxy.heal()
    over()
  }
}

async function disturb(proxy: FaultProxy, fault: Fault): Promise<void> {
  switch (fault.how) {
    case 'reset':
      return proxy.resetNow()
    case 'refuse':
      await proxy.refuse()
      return proxy.resetNow()
    case 'blackhole':
      return proxy.blackhole()
    case 'silence':
      return proxy.blackhole('replies')
    case 'latency':
      return proxy.latency(fault.millis)
    case 'cut':
      return proxy.limitData(fault.bytes, fault.end)
  }
}

function beginKill(
  { weather }: Stage,
  { replica }: Member,
  { member, afterMillis }: Trouble & { what: 'kill' },
): () => Promise<void> {
  const over = weather.begin('kill', member)
  const killed = delay(afterMillis).then(() => replica.kill())
  return async () => {
    await killed
    over()
  }
}

async function beginCrash(
  { weather, count }: Stage,
  { replica }: Member,
  { member, point }: Trouble & { what: 'crash' },
): Promise<() => Promise<void>> {
  const over = weather.begin('kill', member)
  await replica.arm(point)
  return async () => {
    if (await replica.disarm()) count(`crashed: ${point}`)
    over()
  }
}
