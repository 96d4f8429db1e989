import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'

const text = readFileSync(new URL('../Dockerfile', import.meta.url), 'utf8')

interface Instruction {
  readonly word: string
  readonly rest: string
}

/** Each in one line, without comments. */
const instructions = text
  .replace(/^\s*#.*$/gm, '')
  .replace(/\\\n/g, ' ')
  .split('\n')
  .flatMap((line): Instruction[] => {
    const [, word, rest] = /^([A-Z]+)\s+(.*)$/.exec(line.trim()) ?? []
    return word && rest ? [{ word, rest: rest.replace(/\s+/g, ' ') }] : []
  })

const all = (word: string) => instructions.filter((one) => one.word === word).map(({ rest }) => rest)
const last = instructions.slice(instructions.findLastIndex(({ word }) => word === 'FROM'))
const inLast = (word: string) => last.filter((one) => one.word === word).map(({ rest }) => rest)

describe('Dockerfile', () => {
  it('builds in stages, all on one base, whose version is named and may be given as a digest', () => {
    const stages = all('FROM')
    assert.ok(stages.length >= 3)
    for (const stage of stages) assert.match(stage, /^\$\{NODE_IMAGE\}( AS [a-z]+)?$/)
    const [base = ''] = all('ARG')
    assert.match(base, /^NODE_IMAGE=node:\d+\.\d+\.\d+-[a-z]+-slim(@sha256:[0-9a-f]{64})?$/)
    assert.ok(!text.includes(':latest'))
    // The same Node as everything here is tested with.
    const { devDependencies } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))
    assert.ok(base.includes(`node:${devDependencies.node}-`))
  })

  it('installs what the lock file says, and nothing for development or of other places', () => {
    const runs = all('RUN').join('\n')
    assert.ok(!/npm (install|i) |curl|wget|apt-get|git clone/.test(runs), runs)
    assert.match(runs, /npm ci --omit=dev --omit=optional --ignore-scripts/)
    assert.deepEqual(all('ADD'), [])
    const copied = inLast('COPY')
    for (const copy of copied) assert.match(copy, /^--from=(build|dependencies) |^package\.json LICENSE \.\/$/)
  })

  it('runs as a user with a number, who owns nothing but the volume', () => {
    const [user] = inLast('USER')
    assert.match(user ?? '', /^[1-9]\d*:[1-9]\d*$/)
    const words = last.map(({ word }) => word)
    assert.ok(words.lastIndexOf('COPY') < words.indexOf('USER'), 'what is copied is root’s')
    assert.ok(words.lastIndexOf('RUN') < words.indexOf('USER'))
    assert.deepEqual(inLast('VOLUME'), ['/var/lib/statelens'])
    assert.ok(inLast('RUN').every((run) => run === 'mkdir "$DATA_DIR" && chown node:node "$DATA_DIR"'))
  })

  it('tells its health by readiness, ends by SIGTERM, and has no shell between', () => {
    const [health = ''] = inLast('HEALTHCHECK')
    assert.match(health, /--interval=\d+s .*\/health\/ready/)
    assert.deepEqual(inLast('STOPSIGNAL'), ['SIGTERM'])
    for (const word of ['ENTRYPOINT', 'CMD']) assert.ok(Array.isArray(JSON.parse(inLast(word)[0] ?? '')), word)
    assert.deepEqual(inLast('EXPOSE'), ['4000'])
  })

  it('holds no secret, and no setting beyond where its data lie', () => {
    assert.deepEqual(inLast('ENV'), ['NODE_ENV=production DATA_DIR=/var/lib/statelens'])
    for (const rest of [...all('ARG'), ...all('ENV')]) assert.ok(!/PASSWORD|SECRET|TOKEN|_KEY/.test(rest))
  })
})
