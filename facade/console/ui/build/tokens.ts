import { generateThemeStylesheet } from '@cloudscape-design/components/theming';

// Cloudscape's widgets in our own colours: burnt orange on warm greys. White on #c2410c
// has a contrast of 5.2; in the dark, text on #fb923c must be dark.
const accent = { light: '#c2410c', dark: '#fb923c' };
const strong = { light: '#9a3412', dark: '#fdba74' };
const onAccent = { light: '#ffffff', dark: '#1c1917' };
const tint = { light: '#fff7ed', dark: '#2a1d14' };
const ground = { light: '#ffffff', dark: '#1c1917' };
const system = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'Liberation Sans', sans-serif";

export const css: string = generateThemeStylesheet({
  theme: {
    tokens: {
      fontFamilyBase: system,
      fontFamilyHeading: system,
      fontFamilyDisplay: system,
      fontFamilyMonospace: "ui-monospace, 'SF Mono', 'Cascadia Mono', 'Noto Sans Mono', 'DejaVu Sans Mono', 'Liberation Mono', monospace",
      borderRadiusButton: '8px',
      borderRadiusContainer: '12px',
      colorBackgroundButtonPrimaryDefault: accent,
      colorBackgroundButtonPrimaryHover: strong,
      colorBackgroundButtonPrimaryActive: strong,
      colorBorderButtonPrimaryDefault: accent,
      colorBorderButtonPrimaryHover: strong,
      colorBorderButtonPrimaryActive: strong,
      colorTextButtonPrimaryDefault: onAccent,
      colorTextButtonPrimaryHover: onAccent,
      colorTextButtonPrimaryActive: onAccent,
      colorBorderButtonNormalDefault: accent,
      colorBorderButtonNormalHover: strong,
      colorBorderButtonNormalActive: strong,
      colorTextButtonNormalDefault: accent,
      colorTextButtonNormalHover: strong,
      colorTextButtonNormalActive: strong,
      colorBackgroundButtonNormalDefault: ground,
      colorBackgroundSegmentDefault: ground,
      colorBackgroundSegmentHover: tint,
      colorBackgroundSegmentWrapper: ground,
      colorBackgroundInputDefault: ground,
      colorBackgroundDropdownItemDefault: ground,
      colorBackgroundDropdownItemHover: tint,
      colorBackgroundButtonNormalHover: tint,
      colorBackgroundButtonNormalActive: tint,
      colorTextButtonLinkDefault: accent,
      colorTextButtonLinkHover: strong,
      colorTextLinkDefault: accent,
      colorTextLinkHover: strong,
      colorTextAccent: accent,
      colorItemSelected: accent,
      colorBackgroundControlChecked: accent,
      colorBorderItemFocused: accent,
      colorBorderInputFocused: accent,
      colorBorderItemSelected: accent,
      colorBackgroundItemSelected: tint,
      colorBackgroundDropdownItemSelected: tint,
      colorBackgroundSegmentActive: accent,
      colorTextSegmentActive: onAccent,
      colorTextSegmentHover: accent,
      colorBackgroundLayoutToggleSelectedDefault: accent,
      colorBackgroundLayoutToggleSelectedHover: strong,
      colorBackgroundLayoutToggleSelectedActive: strong,
      colorBackgroundProgressBarValueDefault: accent,
      colorBackgroundToggleButtonNormalPressed: tint,
      colorBackgroundLayoutMain: { light: '#faf9f7', dark: '#14110f' },
      colorBackgroundContainerContent: ground,
      colorBackgroundContainerHeader: ground,
      colorBorderDividerDefault: { light: '#dcd7d0', dark: '#3b3632' },
      colorTextTopNavigationTitle: '#ffffff',
    } as never,
    contexts: {
      'top-navigation': { tokens: { colorBackgroundContainerContent: { light: '#1c1917', dark: '#1c1917' } } },
    } as never,
  },
});
