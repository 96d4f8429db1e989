import { send } from './http.ts'

export interface Series {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

/** What a server has collected. */
export interface MetricsText {
  readonly series: readonly Series[]
  /** By the name of the metric. */
  readonly types: ReadonlyMap<string, string>
  /** Of the series with just these labels; 0 where there is none. */
  value(name: string, labels?: object): number
}

/** @throws Error where it does not answer. */
export async function scrape(origin: string): Promise<MetricsText> {
  const { status, body } = await send(origin, { target: '/metrics' })
  if (status !== 200) throw new Error(`/metrics answered ${status}`)
  return readMetrics(body.toString())
}

/** @throws Error for a line that the format does not have. @see https://prometheus.io/docs/instrumenting/exposition_formats/ */
export function readMetrics(text: string): MetricsText {
  const series: Series[] = []
  const types = new Map<string, string>()
  for (const line of text.split('\n')) {
    const [, name = '', type = ''] = /^# TYPE (\w+) (counter|gauge|histogram)$/.exec(line) ?? []
    if (name !== '') types.set(name, type)
    if (line !== '' && !line.startsWith('#')) series.push(readSeries(line))
  }
  const keyOf = (name: string, labels: object) => `${name} ${JSON.stringify(Object.entries(labels).toSorted())}`
  const byKey = new Map(series.map(({ name, labels, value }) => [keyOf(name, labels), value]))
  return { series, types, value: (name, labels = {}) => byKey.get(keyOf(name, labels)) ?? 0 }
}

function readSeries(line: string): Series {
  const [, name = '', inner = '', value = ''] = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? []
  const figure = Number(value.replace(/^\+?Inf$/, 'Infinity').replace(/^Nan$/, 'NaN'))
  if (name === '' || (Number.isNaN(figure) && value !== 'Nan')) throw new Error(`What is this? ${line}`)
  const labels = [...inner.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, label = '', text = '']) => [label, text])
  return { name, labels: Object.fromEntries(labels), value: figure }
}
