/** JSON as a test sees it: numbers by their exact value, objects without an order. */
export type Model = null | boolean | string | NumberModel | readonly Model[] | ReadonlyMap<string, Model>

/** `digits` times ten to the `power`; digits have no zero at their end. */
export interface NumberModel {
  readonly digits: bigint
  readonly power: bigint
}

/** Reads JSON the plain way, of equal keys the last. */
export function modelOf(json: string | Buffer): Model {
  const numbers: string[] = []
  // Told apart from what a string may hold by its type.
  const value: unknown = JSON.parse(String(json), (_key, plain, context?: { readonly source?: string }) =>
    typeof plain === 'number'
      ? { number: numbers.push(context?.source ?? '') - 1 }
      : Array.isArray(plain) || plain === null || typeof plain !== 'object'
        ? plain
        : { object: plain },
  )
  return build(value, numbers)
}

function build(value: unknown, numbers: readonly string[]): Model {
  if (Array.isArray(value)) return value.map((item) => build(item, numbers))
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return value
  const { number, object } = value as { readonly number?: number; readonly object?: object }
  if (number !== undefined) return numberOf(numbers[number] ?? '')
  return new Map(Object.entries(object ?? {}).map(([key, item]) => [key, build(item, numbers)]))
}

function numberOf(text: string): NumberModel {
  const [, sign = '', whole = '', fraction = '', exponent = '0'] =
    /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(text) ?? []
  let digits = BigInt(`${whole}${fraction}`)
  let power = BigInt(exponent.replace('+', '')) - BigInt(fraction.length)
  if (digits === 0n) return { digits, power: 0n }
  for (; digits % 10n === 0n; digits /= 10n) power += 1n
  return { digits: sign ? -digits : digits, power }
}

interface Operation {
  readonly op: string
  readonly path: string
  readonly value?: Model
}

/** Applies a patch of RFC 6902 the plain way. @throws Error where an operation does not fit. */
export function applyPatch(document: Model, patch: string | Buffer): Model {
  const operations = modelOf(patch) as readonly ReadonlyMap<string, Model>[]
  return operations.reduce<Model>((whole, operation) => {
    const { op, path, value } = Object.fromEntries(operation) as unknown as Operation
    const keys = path
      .split('/')
      .slice(1)
      .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
    if (path !== '' && !path.startsWith('/')) throw new Error(`no pointer: ${path}`)
    return change(whole, keys, { op, path, value })
  }, document)
}

function change(at: Model, [key, ...rest]: readonly string[], operation: Operation): Model {
  const { op, path, value = null } = operation
  if (key === undefined) {
    if (op !== 'replace') throw new Error(`${op} of the root`)
    return value
  }
  const isLast = rest.length === 0
  if (Array.isArray(at)) {
    const index = Number(key)
    if (!/^(0|[1-9]\d*)$/.test(key) || index > at.length - (op === 'add' && isLast ? 0 : 1))
      throw new Error(`no ${path}`)
    if (!isLast) return at.with(index, change(at[index], rest, operation))
    if (op === 'replace') return at.with(index, value)
    return op === 'add' ? at.toSpliced(index, 0, value) : at.toSpliced(index, 1)
  }
  if (!(at instanceof Map) || ((op !== 'add' || !isLast) && !at.has(key))) throw new Error(`no ${path}`)
  const members = new Map(at as ReadonlyMap<string, Model>)
  if (!isLast) members.set(key, change(at.get(key), rest, operation))
  else if (op === 'remove') members.delete(key)
  else members.set(key, value)
  return members
}

/** What stands at a pointer. @throws Error where nothing does. */
export function modelAt(document: Model, pointer: string): Model {
  const keys = pointer.split('/').slice(1)
  return keys.reduce<Model>((at, part) => {
    const key = part.replaceAll('~1', '/').replaceAll('~0', '~')
    const found = Array.isArray(at) ? at[Number(key)] : at instanceof Map ? at.get(key) : undefined
    if (found === undefined) throw new Error(`nothing at ${pointer}`)
    return found
  }, document)
}

/** Applies a patch of RFC 7396, word for word as it is written there. */
export function applyMergePatch(target: Model, patch: Model): Model {
  if (!(patch instanceof Map)) return patch
  const members = new Map<string, Model>(target instanceof Map ? target : [])
  for (const [name, value] of patch as ReadonlyMap<string, Model>) {
    if (value === null) members.delete(name)
    else members.set(name, applyMergePatch(members.get(name) ?? null, value))
  }
  return members
}

/** Whether a member of an object is null, but for objects in arrays. */
export function hasNull(model: Model): boolean {
  return model instanceof Map && [...model.values()].some((value) => value === null || hasNull(value))
}
