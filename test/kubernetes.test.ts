import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { validate as isDeployment } from 'kubernetes-models/_schemas/IoK8sApiAppsV1Deployment'
import { validate as isJob } from 'kubernetes-models/_schemas/IoK8sApiBatchV1Job'
import { validate as isConfigMap } from 'kubernetes-models/_schemas/IoK8sApiCoreV1ConfigMap'
import { validate as isSecret } from 'kubernetes-models/_schemas/IoK8sApiCoreV1Secret'
import { validate as isService } from 'kubernetes-models/_schemas/IoK8sApiCoreV1Service'
import { validate as isServiceAccount } from 'kubernetes-models/_schemas/IoK8sApiCoreV1ServiceAccount'
import { validate as isPodDisruptionBudget } from 'kubernetes-models/_schemas/IoK8sApiPolicyV1PodDisruptionBudget'
import { parseAllDocuments } from 'yaml'
import { readConfig } from '../src/config.ts'

const FOLDER = new URL('../examples/kubernetes/', import.meta.url)

/** By the ajv that the package was made with; each keeps the errors of its last call. */
const KINDS = {
  'v1 ConfigMap': isConfigMap,
  'v1 Secret': isSecret,
  'v1 Service': isService,
  'v1 ServiceAccount': isServiceAccount,
  'apps/v1 Deployment': isDeployment,
  'batch/v1 Job': isJob,
  'policy/v1 PodDisruptionBudget': isPodDisruptionBudget,
}

interface Container {
  readonly image: string
  readonly securityContext: object
  readonly resources: { readonly limits: { readonly memory: string } }
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string; readonly readOnly?: boolean }[]
  readonly readinessProbe: { readonly httpGet: { readonly path: string } }
  readonly livenessProbe: { readonly httpGet: { readonly path: string } }
  readonly lifecycle: { readonly preStop: { readonly sleep: { readonly seconds: number } } }
}

interface Template {
  readonly metadata: { readonly labels: Readonly<Record<string, string>> }
  readonly spec: {
    readonly automountServiceAccountToken: boolean
    readonly terminationGracePeriodSeconds: number
    readonly securityContext: { readonly runAsNonRoot: boolean }
    readonly containers: readonly Container[]
    readonly volumes: readonly { readonly name: string; readonly secret?: { readonly secretName: string } }[]
  }
}

interface Resource {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: { readonly name: string }
  readonly data: Readonly<Record<string, string>>
  readonly stringData: Readonly<Record<string, string>>
  readonly spec: {
    readonly replicas: number
    readonly minAvailable: number
    readonly template: Template
    readonly selector: Readonly<Record<string, unknown>>
  }
}

const resources = readdirSync(FOLDER)
  .filter((name) => name.endsWith('.yaml'))
  .flatMap((name) => parseAllDocuments(readFileSync(new URL(name, FOLDER), 'utf8')))
  .map((document) => document.toJS() as Resource)

function only(kind: string, name = 'statelens'): Resource {
  const [found, ...others] = resources.filter((one) => one.kind === kind && one.metadata.name === name)
  assert.ok(found && others.length === 0, `${kind} ${name}`)
  return found
}

/** Names that a validator never looked at, by their path: it reads each that its schema has. */
function unreadNames(value: object, validate: (value: object) => boolean): readonly string[] {
  const seen = new Map<string, { readonly node: object; readonly read: Set<PropertyKey> }>()
  const watch = (node: object, path: string): object => {
    const { read } = seen.get(path) ?? { read: new Set<PropertyKey>() }
    seen.set(path, { node, read })
    return new Proxy(node, {
      get(target, key) {
        read.add(key)
        const child: unknown = Reflect.get(target, key)
        return typeof child === 'object' && child !== null ? watch(child, `${path}.${String(key)}`) : child
      },
    })
  }
  validate(watch(value, ''))
  return [...seen].flatMap(([path, { node, read }]) =>
    Object.keys(node).flatMap((key) => (read.has(key) ? [] : [`${path}.${key}`])),
  )
}

function validatorOf({ apiVersion, kind }: Resource): (value: object) => boolean {
  const [, validate] = Object.entries(KINDS).find(([name]) => name === `${apiVersion} ${kind}`) ?? []
  assert.ok(validate, `${apiVersion} ${kind}`)
  return validate
}

const templates = () => [only('Deployment').spec.template, only('Job', 'statelens-migrate').spec.template]
const containers = () => templates().flatMap(({ spec }) => spec.containers)

describe('examples/kubernetes', () => {
  it('follows the schemas of Kubernetes', () => {
    assert.ok(resources.length >= 8)
    for (const resource of resources) {
      const validate = validatorOf(resource)
      assert.ok(validate(resource), JSON.stringify((validate as { readonly errors?: unknown }).errors))
    }
    const { spec, ...rest } = only('Deployment')
    assert.equal(isDeployment({ ...rest, spec: { ...spec, replicas: 'two' } }), false)
  })

  it('has no name that Kubernetes does not know, as one that is misspelt', () => {
    for (const resource of resources) assert.deepEqual(unreadNames(resource, validatorOf(resource)), [], resource.kind)
    const { spec, ...rest } = only('PodDisruptionBudget')
    const misspelt = { ...rest, spec: { ...spec, minAvailble: 1 } }
    assert.deepEqual(unreadNames(misspelt, isPodDisruptionBudget), ['.spec.minAvailble'])
  })

  it('runs as nobody in particular, on a root that cannot be written, with a bound to its memory', () => {
    for (const { spec } of templates()) {
      assert.equal(spec.securityContext.runAsNonRoot, true)
      assert.equal(spec.automountServiceAccountToken, false)
    }
    for (const { securityContext, resources: bounds, volumeMounts } of containers()) {
      assert.deepEqual(securityContext, {
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] },
      })
      assert.match(bounds.limits.memory, /^\d+[MG]i$/)
      const writable = volumeMounts.filter(({ readOnly }) => !readOnly).map(({ mountPath }) => mountPath)
      assert.deepEqual(writable, ['/var/lib/statelens'])
    }
  })

  it('pins one image by its digest, for the migration and for the replicas', () => {
    const images = new Set(containers().map(({ image }) => image))
    assert.equal(images.size, 1)
    for (const image of images) assert.match(image, /@sha256:[0-9a-f]{64}$/)
  })

  it('asks the routes of health, and has time for the whole of the end', () => {
    const { spec } = only('Deployment').spec.template
    const [container] = spec.containers
    assert.ok(container)
    assert.equal(container.readinessProbe.httpGet.path, '/health/ready')
    assert.equal(container.livenessProbe.httpGet.path, '/health/live')
    const { drainDelaySeconds } = readConfig({})
    const needed = container.lifecycle.preStop.sleep.seconds + drainDelaySeconds + 15 + 5
    assert.ok(spec.terminationGracePeriodSeconds >= needed, String(needed))
  })

  it('keeps one of two replicas through a disruption, and meets them by their labels', () => {
    const { replicas, template, selector } = only('Deployment').spec
    assert.equal(replicas, 2)
    assert.equal(only('PodDisruptionBudget').spec.minAvailable, 1)
    const { labels } = template.metadata
    assert.deepEqual(selector, { matchLabels: labels })
    assert.deepEqual(only('PodDisruptionBudget').spec.selector, { matchLabels: labels })
    assert.deepEqual(only('Service').spec.selector, labels)
    assert.notDeepEqual(only('Job', 'statelens-migrate').spec.template.metadata.labels, labels)
  })

  it('gives settings that the server has and takes, and every secret by a file that is mounted', () => {
    const { data } = only('ConfigMap')
    const known = new Set(
      [...readFileSync(new URL('../.env.example', import.meta.url), 'utf8').matchAll(/^# ([A-Z][A-Z0-9_]*)=/gm)].map(
        ([, name]) => name,
      ),
    )
    assert.deepEqual(
      Object.keys(data).filter((name) => !known.has(name)),
      [],
    )
    const secrets = only('Secret').stringData
    const files = Object.entries(data).filter(([name]) => name.endsWith('_FILE') && name !== 'AUTH_TOKENS_FILE')
    const plain = Object.fromEntries(
      files.map(([name, path]) => [name.replace(/_FILE$/, ''), secrets[path.replace('/etc/statelens/secrets/', '')]]),
    )
    assert.deepEqual(Object.keys(secrets).length, files.length)
    const rest = Object.fromEntries(Object.entries(data).filter(([name]) => !files.some(([file]) => file === name)))
    const config = readConfig({ ...rest, ...plain } as Record<string, string>)
    assert.equal(config.authMode, 'token')
    for (const { spec } of templates()) {
      const named = spec.volumes.flatMap(({ secret }) => secret?.secretName ?? [])
      assert.deepEqual(named, ['statelens', 'statelens-tokens'])
    }
  })
})
