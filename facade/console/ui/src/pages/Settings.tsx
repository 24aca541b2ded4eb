import Container from '@cloudscape-design/components/container';
import FormField from '@cloudscape-design/components/form-field';
import Header from '@cloudscape-design/components/header';
import SegmentedControl from '@cloudscape-design/components/segmented-control';
import SpaceBetween from '@cloudscape-design/components/space-between';
import Toggle from '@cloudscape-design/components/toggle';
import { PageHeader } from '../app/page';
import { usePreferences, type Preferences } from '../app/preferences';
import { useT } from '../i18n';

export default function Settings() {
  const t = useT();
  const { preferences, change } = usePreferences();
  const choice = <K extends 'theme' | 'locale' | 'density' | 'time' | 'zone'>(name: K, label: string, options: [Preferences[K], string][]) => (
    <FormField label={label} key={name}>
      <SegmentedControl label={label} selectedId={preferences[name]} options={options.map(([id, text]) => ({ id, text }))} onChange={(e) => change({ [name]: e.detail.selectedId })} />
    </FormField>
  );
  return (
    <SpaceBetween size="l">
      <PageHeader title={t('nav.settings')} description={t('settings2.lead')} />
      <Container header={<Header variant="h2">{t('top.display')}</Header>}>
        <SpaceBetween size="l">
          {choice('locale', t('top.language'), [['en', 'English'], ['fr', 'Français']])}
          {choice('theme', t('top.theme'), [['system', t('top.system')], ['light', t('top.light')], ['dark', t('top.dark')]])}
          {choice('density', t('top.density'), [['comfortable', t('top.comfortable')], ['compact', t('top.compact')]])}
          {choice('time', t('settings2.time'), [['absolute', t('settings2.absolute')], ['relative', t('settings2.relative')]])}
          {choice('zone', t('settings2.zone'), [['local', t('settings2.local')], ['utc', t('settings2.utc')]])}
        </SpaceBetween>
      </Container>
      <Container header={<Header variant="h2">{t('settings2.shortcuts')}</Header>}>
        <Toggle checked={preferences.shortcuts} description={t('settings2.singlehint')} onChange={(e) => change({ shortcuts: e.detail.checked })}>{t('settings2.single')}</Toggle>
      </Container>
    </SpaceBetween>
  );
}
