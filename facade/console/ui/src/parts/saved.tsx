import ButtonDropdown from '@cloudscape-design/components/button-dropdown';
import FormField from '@cloudscape-design/components/form-field';
import Input from '@cloudscape-design/components/input';
import { useState } from 'react';
import { useProject } from '../app/session';
import { useT } from '../i18n';
import { put, read, without, type Saved } from '../lib/saved';
import { Dialog } from './dialog';

interface Props<T> {
  /** What is kept: the name of its place in the browser. */
  kind: string;
  label: string;
  /** What would be kept now; nothing if there is nothing to keep. */
  value: T | undefined;
  onUse: (value: T) => void;
}

/** SavedMenu keeps values under names in this browser, for each project. */
export function SavedMenu<T>({ kind, label, value, onUse }: Props<T>) {
  const t = useT();
  const place = `dms.saved.${kind}.${useProject()}`;
  const [list, setList] = useState<Saved<T>[]>(() => read(localStorage.getItem(place)));
  const [name, setName] = useState<string | null>(null);
  const keep = (changed: Saved<T>[]) => {
    setList(changed);
    localStorage.setItem(place, JSON.stringify(changed));
  };
  return (
    <>
      <ButtonDropdown
        expandToViewport
        items={[
          ...(list.length > 0 ? [{ text: label, items: list.map((s) => ({ id: 'use ' + s.name, text: s.name })) }] : []),
          { id: 'save', text: t('saved.save'), disabled: value === undefined },
          ...(list.length > 0 ? [{ text: t('saved.remove'), items: list.map((s) => ({ id: 'remove ' + s.name, text: s.name })) }] : []),
        ]}
        onItemClick={(e) => {
          const at = e.detail.id.indexOf(' ');
          const chosen = e.detail.id.slice(at + 1);
          if (e.detail.id === 'save') setName('');
          else if (e.detail.id.startsWith('use ')) onUse(list.find((s) => s.name === chosen)!.value);
          else keep(without(list, chosen));
        }}
      >
        {label}
      </ButtonDropdown>
      {name !== null && (
        <Dialog title={t('saved.save')} act={t('saved.keep')} disabled={name.trim() === ''} run={async () => keep(put(list, name.trim().slice(0, 60), value as T))} onClose={() => setName(null)}>
          <FormField label={t('saved.name')} constraintText={t('settings2.lead')}>
            <Input value={name} autoFocus onChange={(e) => setName(e.detail.value)} />
          </FormField>
        </Dialog>
      )}
    </>
  );
}
