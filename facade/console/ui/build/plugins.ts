import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import { rolldown } from 'rolldown';
import type { Plugin } from 'vite';

const virtual = 'virtual:theme.css';

// theme makes the style sheet of our colours when the console is built, so that nothing
// adds styles at run time and the Content-Security-Policy can forbid it.
export function theme(): Plugin {
  let css: Promise<string> | undefined;
  const make = async () => {
    const bundle = await rolldown({ input: join(import.meta.dirname, 'tokens.ts'), platform: 'node', logLevel: 'silent' });
    const { output } = await bundle.generate({ format: 'esm' });
    const code = Buffer.from(output[0].code).toString('base64');
    return ((await import('data:text/javascript;base64,' + code)) as { css: string }).css;
  };
  return {
    name: 'theme',
    resolveId: (id) => (id === virtual ? '\0' + virtual : undefined),
    load: (id) => (id === '\0' + virtual ? (css ??= make()) : undefined),
  };
}

// systemFonts removes the fonts that Cloudscape carries inside its style sheets: 180 KB,
// and the console uses those of the system.
export function systemFonts(): Plugin {
  return {
    name: 'system-fonts',
    enforce: 'pre',
    transform(code, id) {
      if (!id.includes('@cloudscape-design') || !/\.css(\?|$)/.test(id)) return undefined;
      return { code: code.replace(/@font-face\s*\{[^}]*\}/g, ''), map: null };
    },
  };
}

// clean empties the folder of the result but for what git keeps there.
export function clean(folder: string): Plugin {
  return {
    name: 'clean',
    apply: 'build',
    buildStart() {
      let names: string[] = [];
      try {
        names = readdirSync(folder);
      } catch {
        return; // it is made
      }
      for (const name of names) {
        if (!name.startsWith('.') && !name.startsWith('placeholder')) rmSync(join(folder, name), { recursive: true });
      }
    },
  };
}

// compress writes .br and .gz beside every file that becomes smaller by it. The page
// itself is left out: it gets a new nonce with every answer.
export function compress(folder: string): Plugin {
  return {
    name: 'compress',
    apply: 'build',
    closeBundle() {
      for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
        if (!entry.isFile() || !/\.(js|css|svg|json|txt)$/.test(entry.name)) continue;
        const file = join(entry.parentPath, entry.name);
        if (statSync(file).size < 1024) continue;
        const bytes = readFileSync(file);
        writeFileSync(file + '.br', brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length } }));
        writeFileSync(file + '.gz', gzipSync(bytes, { level: 9 }));
      }
    },
  };
}
