import assert from 'node:assert/strict'
import { it } from 'node:test'
import { checkAll } from '../history/final.ts'
import { createStage } from '../history/play.ts'
import { openWorld, type StoreKind } from '../history/world.ts'
import { describeWith } from '../support/describe-with.ts'
import { s3 } from '../support/services.ts'
import { fewCases } from './crash-cases.ts'
import { playCrash } from './crash-rounds.ts'

/** `npm run crashes` has every point, by every way, as often as it is told. */
async function crashesLoseNothing(kind: StoreKind): Promise<void> {
  await using world = await openWorld({ kind, replicas: 1 })
  const stage = createStage(world)
  const cases = fewCases(kind)
  for (const one of cases) await playCrash(stage, one)
  assert.ok((await checkAll(stage)) > cases.length / 2)
}

it('I1, G20: a server that is killed anywhere loses nothing, and leaves nothing, in a folder', () =>
  crashesLoseNothing('file'))

await describeWith('S3', s3, () => {
  it('I1, G17: a server that is killed anywhere loses nothing, and leaves nothing, in S3', () =>
    crashesLoseNothing('s3'))
})
