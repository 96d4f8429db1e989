import { signal } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import { Icon } from './icon.tsx'
import { hasLetters, setLetters } from './keys.ts'

export const isHelpOpen = signal(false)

const KEYS: readonly (readonly [group: string, keys: readonly (readonly [keys: string, what: string])[]])[] = [
  [
    'Everywhere',
    [
      ['?', 'this list'],
      ['t', 'theme: as the device, light, dark'],
      ['f', 'follow what is happening, or stop'],
      ['g', 'all runs'],
    ],
  ],
  [
    'Tree',
    [
      ['↑ ↓ or k j', 'row before, row after'],
      ['← → or h l', 'close or leave, open or enter'],
      ['Enter, Space', 'open or close'],
      ['Home, End, Page Up, Page Down', 'first, last, a page'],
      ['*', 'open all on this level'],
      ['1 … 9', 'fold to a level'],
      ['@', 'go to a pointer'],
      ['/', 'find below the pointer'],
      ['n N', 'next and previous match'],
    ],
  ],
  [
    'Copy',
    [
      ['y p', 'the pointer'],
      ['y j', 'the path for jq'],
      ['y k', 'the key'],
      ['y v', 'the value, whole'],
    ],
  ],
  [
    'States',
    [
      [', .', 'the state before, the state after'],
      ['d', 'difference from the state before, and back'],
      ['n p', 'next and previous change'],
    ],
  ],
]

/** What the keys do, and whether letters do anything. */
export function Help() {
  const dialog = useRef<HTMLDialogElement>(null)
  const isOpen = isHelpOpen.value
  useEffect(() => {
    if (isOpen) dialog.current?.showModal()
    else dialog.current?.close()
  }, [isOpen])
  const close = () => {
    isHelpOpen.value = false
  }
  return (
    <dialog ref={dialog} class="help" aria-label="Keys" onClose={close}>
      <header>
        <h2>Keys</h2>
        <button type="button" class="quiet" aria-label="Close" onClick={close}>
          <Icon name="x" />
        </button>
      </header>
      <div class="help-groups">
        {KEYS.map(([group, keys]) => (
          <section key={group}>
            <h3>{group}</h3>
            <dl>
              {keys.map(([key, what]) => (
                <div key={key}>
                  <dt>
                    <kbd>{key}</kbd>
                  </dt>
                  <dd>{what}</dd>
                </div>
              ))}
            </dl>
          </section>
        ))}
      </div>
      <label class="check">
        <input
          type="checkbox"
          checked={hasLetters.value}
          onChange={(event) => setLetters(event.currentTarget.checked)}
        />
        Single letters do something
      </label>
    </dialog>
  )
}
