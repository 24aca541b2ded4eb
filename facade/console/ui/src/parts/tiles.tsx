import type { ReactNode } from 'react';

export interface Tile {
  label: string;
  value: ReactNode;
  alert?: boolean;
}

/** Tiles are figures that are seen at once. */
export function Tiles({ items }: { items: Tile[] }) {
  return (
    <dl className="tiles">
      {items.map((x) => (
        <div key={x.label} className={x.alert ? 'tile alert' : 'tile'}>
          <dt>{x.label}</dt>
          <dd>{x.value}</dd>
        </div>
      ))}
    </dl>
  );
}
