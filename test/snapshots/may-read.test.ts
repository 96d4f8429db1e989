import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { SCOPES, type Scope, scopesOf } from '../../src/auth/scopes.ts'
import { ANYONE, LINK_HOLDERS, STRANGER, type Viewer } from '../../src/auth/viewer.ts'
import { maskPreview } from '../../src/snapshots/mask-preview.ts'
import { createMayRead } from '../../src/snapshots/may-read.ts'
import { parsePolicies } from '../../src/snapshots/policies.ts'

const { value: policies } = parsePolicies('{"known": ["/a"], "__proto__": ["/b"]}')
const mayRead = createMayRead(() => policies)
const viewerWith = (...scopes: Scope[]): Viewer => ({ name: 'x', scopes: scopesOf(scopes), mode: 'token' })

/** What each viewer may have of a state without tags, and of tagged ones with a known, an unknown and no policy. */
const TABLE: readonly (readonly [string, Viewer, string])[] = [
  ['a stranger', STRANGER, 'no no no no'],
  ['anyone, where nobody is asked', ANYONE, 'whole whole whole whole'],
  ...SCOPES.map((scope) => {
    const expected = { read: 'whole masked no no', admin: 'whole whole whole whole' }
    return [scope, viewerWith(scope), scope in expected ? expected[scope as 'read'] : 'no no no no'] as const
  }),
  ['read and pii:read', viewerWith('read', 'pii:read'), 'whole whole whole whole'],
  ['write, delete and pii:read', viewerWith('write', 'delete', 'pii:read'), 'no no no no'],
  ['a link to all', LINK_HOLDERS.whole, 'whole whole whole whole'],
  ['a link to what is left', LINK_HOLDERS.masked, 'whole masked no no'],
]

describe('what a viewer may have of a state', () => {
  it('is what the table says', () => {
    const states = [
      { piiTags: [], redactionPolicy: 'known' },
      { piiTags: ['t'], redactionPolicy: 'known' },
      { piiTags: ['t'], redactionPolicy: 'other' },
      { piiTags: ['t'], redactionPolicy: null },
    ]
    for (const [who, viewer, expected] of TABLE) {
      const readings = states.map((state) => mayRead(viewer, state))
      assert.equal(
        readings.map((reading) => (typeof reading === 'object' ? 'masked' : reading)).join(' '),
        expected,
        who,
      )
    }
  })

  it('is nothing of one whose tags were not read', () => {
    const unread = {} as { piiTags: string[]; redactionPolicy: null }
    assert.equal(mayRead(viewerWith('read'), unread), 'no')
    for (const name of ['toString', 'constructor', '']) {
      assert.equal(mayRead(viewerWith('read'), { piiTags: ['t'], redactionPolicy: name }), 'no')
    }
  })
})

describe('a file of policies', () => {
  it('counts with its good ones, and says what is wrong with the others', () => {
    const text = JSON.stringify({
      good: ['/a', ''],
      none: [],
      text: '/a',
      number: [5],
      wrong: ['/a', 'b'],
      tilde: ['/~2'],
    })
    const { value, problems } = parsePolicies(text)
    assert.deepEqual([...value.keys()], ['good'])
    assert.deepEqual(
      problems.map((problem) => /"(\w+)"/.exec(problem)?.[1]),
      ['none', 'text', 'number', 'wrong', 'tilde'],
    )
    for (const none of [undefined, '', '[]', 'null', '"x"', '{']) {
      const read = parsePolicies(none)
      assert.deepEqual([read.value.size, read.problems.length], [0, 1], none)
    }
  })

  it('has another version of a policy for other pointers', () => {
    const versionOf = (pointers: string[]) => parsePolicies(JSON.stringify({ p: pointers })).value.get('p')?.version
    assert.equal(versionOf(['/a']), versionOf(['/a']))
    assert.notEqual(versionOf(['/a']), versionOf(['/b']))
    assert.notEqual(versionOf(['/a', '/b']), versionOf(['/a/b']))
  })
})

describe('a preview that is masked', () => {
  const policy = policies.get('known')

  it('ends at the first place that is, and is as it was where there is none', () => {
    assert.ok(policy)
    const cases = [
      [null, null],
      ['{"b":1}', '{"b":1}'],
      ['{"b":"xxx…', '{"b":"xxx…'],
      ['{"b":1,"a":"secret","c":2}', '{"b":1,"a":"[redacted]"…'],
      ['{"a":"sec…', '{"a":"[redacted]"…'],
      ['{"a":[1,{"x":…', '{"a":"[redacted]"…'],
      ['{"a":…', '{"a":…'],
      ['{"\\u0061":5}', '{"\\u0061":"[redacted]"…'],
      ['not json', null],
    ] as const
    for (const [preview, masked] of cases) assert.equal(maskPreview(preview, policy), masked, String(preview))
  })
})
