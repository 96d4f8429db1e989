import DataLoader from 'dataloader'
import type { Fields } from '../model/fields.ts'
import type { Context } from './context.ts'

type Loader<Key, Value> = DataLoader<Key, Value, unknown>

/** Waits for a change to what is stored; the fields that the same request reads after it are loaded anew. */
export async function changing<T>(context: Context, change: Promise<T>): Promise<T> {
  try {
    return await change
  } finally {
    context.memory.clear()
  }
}

/**
 * A loader of the request's own, made on first use. Every set of arguments has its loader, so aliases of a field that differ
 * in their arguments never mix.
 * @param batch answers for every key, in the order asked.
 * @param nameOf what makes two keys the same one; needed where keys are objects.
 */
export function createLoaderWithArgs<Key, Args, Value>(
  batch: (keys: readonly Key[], args: Args, context: Context) => Promise<readonly (Value | Error)[]>,
  nameOf?: (key: Key) => string,
): (context: Context, args: Args) => Loader<Key, Value> {
  const own = {}
  return (context, args) => {
    const { memory } = context
    let byArgs = memory.get(own) as Map<string, Loader<Key, Value>> | undefined
    if (!byArgs) {
      byArgs = new Map()
      memory.set(own, byArgs)
    }
    const name = JSON.stringify(args)
    let loader = byArgs.get(name)
    if (!loader) {
      loader = new DataLoader((keys) => batch(keys, args, context), nameOf && { cacheKeyFn: nameOf })
      byArgs.set(name, loader)
    }
    return loader
  }
}

/** The same for what takes no arguments. */
export function createLoader<Key, Value>(
  batch: (keys: readonly Key[], context: Context) => Promise<readonly (Value | Error)[]>,
  nameOf?: (key: Key) => string,
): (context: Context) => Loader<Key, Value> {
  const own = {}
  return (context) => {
    let loader = context.memory.get(own) as Loader<Key, Value> | undefined
    if (!loader) {
      loader = new DataLoader((keys) => batch(keys, context), nameOf && { cacheKeyFn: nameOf })
      context.memory.set(own, loader)
    }
    return loader
  }
}

/** Things by their keys, each read with the fields that its selection needs. */
export interface EntityLoader<Key, Entity> {
  /** Null when it is not there. What is asked for at the same time is read by one statement, with the fields of all. */
  load(key: Key, fields: Fields<Entity>): Promise<Entity | null>
  /** Tells what was read along with something else; the same fields asked for later cost nothing. */
  prime(key: Key, fields: Fields<Entity>, entity: Entity | null): void
}

export interface EntityLoaderOptions<Key, Entity> {
  /** Tells keys apart. */
  readonly nameOf: (key: Key) => string
  /** Answers for every key, in the order asked; keys are distinct. */
  readonly batch: (
    keys: readonly Key[],
    fields: Fields<Entity>,
    context: Context,
  ) => Promise<readonly (Entity | null)[]>
}

export function createEntityLoader<Key, Entity>(
  options: EntityLoaderOptions<Key, Entity>,
): (context: Context) => EntityLoader<Key, Entity> {
  type Request = { readonly key: Key; readonly fields: Fields<Entity> }
  const { nameOf, batch } = options
  const loaderOf = createLoader<Request, Entity | null>(
    (requests, context) => {
      const [only] = requests
      return only && requests.length === 1 ? batch([only.key], only.fields, context) : loadMany(requests, context)
    },
    ({ key, fields }) => `${fields} ${nameOf(key)}`,
  )

  async function loadMany(requests: readonly Request[], context: Context): Promise<(Entity | null)[]> {
    const keys = new Map(requests.map(({ key }) => [nameOf(key), key]))
    const fields = requests.reduce((all, request) => all | request.fields, 0)
    const found = await batch([...keys.values()], fields, context)
    const byName = new Map([...keys.keys()].map((name, index) => [name, found[index] ?? null]))
    return requests.map(({ key }) => byName.get(nameOf(key)) ?? null)
  }

  return (context) => {
    const loader = loaderOf(context)
    return {
      load: (key, fields) => loader.load({ key, fields }),
      prime: (key, fields, entity) => void loader.prime({ key, fields }, entity),
    }
  }
}

/** Puts rows that came in any order behind their names; null for each that is not there. */
export function alignTo<Value>(
  names: readonly string[],
  values: readonly Value[],
  nameOf: (value: Value) => string,
): (Value | null)[] {
  const found = new Map(values.map((value) => [nameOf(value), value]))
  return names.map((name) => found.get(name) ?? null)
}
