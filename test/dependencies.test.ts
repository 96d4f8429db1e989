import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { describe, it } from 'node:test'
import { ADVISORIES, TAMPERED } from './advisories.ts'

interface Locked {
  readonly version?: string
  readonly integrity?: string
  readonly resolved?: string
  readonly license?: string
  readonly link?: boolean
  readonly hasInstallScript?: boolean
  readonly dev?: boolean
}

/** They let anybody use, change and hand on what is made with them. */
const LICENCES: readonly string[] = ['MIT', 'ISC', '0BSD', 'Apache-2.0', 'BlueOak-1.0.0']
/** Not to be sold as a service of its own, which nobody does here. */
const EXCEPTIONS: Readonly<Record<string, string>> = {
  '@apollo/federation-internals': 'Elastic-2.0',
  // Both let anybody do so.
  '@bufbuild/protobuf': '(Apache-2.0 AND BSD-3-Clause)',
}

const packageJson = JSON.parse(await readFile('package.json', 'utf8'))
const { packages } = JSON.parse(await readFile('package-lock.json', 'utf8')) as { packages: Record<string, Locked> }
const locked = Object.entries(packages).filter(([path]) => path !== '')
const nameOf = (path: string) => path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length)

describe('what is depended on', () => {
  it('is of exact versions, each with a line that says what it is for', async () => {
    const direct = { ...packageJson.dependencies, ...packageJson.devDependencies } as Record<string, string>
    for (const [name, version] of Object.entries(direct))
      assert.match(version, /^(?:npm:[a-z]+@)?\d+\.\d+\.\d+(?:-[\w.]+)?$/, name)
    const text = await readFile('docs/dependencies.md', 'utf8')
    const last = (name: string) => name.slice(name.lastIndexOf('/') + 1)
    const missing = Object.keys(packageJson.dependencies).filter(
      (name) => !text.includes(last(name)) && !text.includes(last(name).replace(/^plugin/, '')),
    )
    assert.deepEqual(missing, [])
  })

  it('J12: is locked by what it holds, and comes from one registry', () => {
    for (const [path, { integrity, resolved, link }] of locked) {
      if (link) continue
      assert.match(integrity ?? '', /^sha512-/, path)
      if (resolved !== undefined) assert.match(resolved, /^https:\/\/registry\.npmjs\.org\//, path)
    }
  })

  it('J12: runs nothing while it is installed but what is named', () => {
    const named = packageJson.allowScripts as Record<string, boolean>
    const scripts = locked.filter(([, { hasInstallScript }]) => hasInstallScript).map(([path]) => nameOf(path))
    assert.deepEqual(
      scripts.filter((name) => !(name in named)),
      [],
    )
  })

  it('J12: may be used by anybody, where it is part of what is published', () => {
    const others = locked.filter(
      ([path, { license = '', dev }]) => !dev && !LICENCES.includes(license) && EXCEPTIONS[nameOf(path)] !== license,
    )
    assert.deepEqual(
      others.map(([path, { license }]) => `${path} ${license}`),
      [],
    )
  })

  it('J12: has none of the releases that are known to be bad, as far as that is known here', () => {
    const found = locked.flatMap(([path, { version = '' }]) => {
      const name = nameOf(path)
      const bad = ADVISORIES.filter((one) => one.name === name && isBelow(version, one.fixedIn)).map(({ what }) => what)
      return [...bad, ...(TAMPERED[name]?.includes(version) ? ['was put there by somebody else'] : [])].map(
        (what) => `${path} ${version}: ${what}`,
      )
    })
    assert.deepEqual(found, [])
  })

  it('J12: is not chosen before it was out for a week', async () => {
    assert.match(packageJson.scripts.add, /--save-exact --min-release-age=([7-9]|\d{2,})$/)
    // CI asks whoever knows more than this repository, and installs by the lock file alone.
    const steps = await readFile('.ci/run', 'utf8')
    assert.match(steps, /^npm ci$/m)
    assert.match(steps, /npm audit --omit=dev --audit-level=high/)
  })
})

/** Whether it is a release of a line before the one in which that line was mended. */
function isBelow(version: string, fixedIn: readonly string[]): boolean {
  const numbers = (text: string) => (text.split('-')[0] ?? '').split('.').map(Number)
  const compare = (a: readonly number[], b: readonly number[]) =>
    a.map((number, i) => number - (b[i] ?? 0)).find((difference) => difference !== 0) ?? 0
  const asked = numbers(version)
  const ofLine = fixedIn.map(numbers).find(([major]) => major === asked[0])
  const first = ofLine ?? fixedIn.map(numbers).find((fixed) => compare(asked, fixed) < 0)
  return first !== undefined && compare(asked, first) < 0
}
