import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { timeText } from '../format.ts';
import type { Series } from '../state/figures.ts';
import { Store, useStore } from '../state/store.ts';

const HEIGHT = 132;
const dark = matchMedia('(prefers-color-scheme: dark)');
const isDark = new Store(dark.matches);
dark.addEventListener('change', () => isDark.set(dark.matches));

export interface Line {
  readonly name: string;
  readonly values: Series;
}
export interface ChartProps {
  readonly title: string;
  /** The moments of the values, in milliseconds. */
  readonly at: readonly number[];
  /** At most two: the first is drawn in the accent's colour, the second dashed. */
  readonly lines: readonly Line[];
  format(value: number): string;
  /** Steps of its scale, where they are not those of ten. */
  readonly steps?: readonly number[];
}

/** Steps of a scale of bytes. */
export const BYTE_STEPS = Array.from({ length: 40 }, (_, power) => 2 ** power);

/** Figures over time. The last ones stand above as text. */
export function Chart({ title, at, lines, format, steps }: ChartProps) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(null);
  const scheme = useStore(isDark);
  const names = lines.map(({ name }) => name).join('\n');
  const data: uPlot.AlignedData = [at.map((ms) => ms / 1000), ...lines.map(({ values }) => [...values])];
  useEffect(() => {
    const { current } = box;
    if (!current) return undefined;
    const made = new uPlot(optionsOf(current.clientWidth, names.split('\n'), format, steps), data, current);
    plot.current = made;
    const resized = new ResizeObserver(() => made.setSize({ width: current.clientWidth, height: HEIGHT }));
    resized.observe(current);
    return () => {
      resized.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [names, scheme]);
  useEffect(() => {
    plot.current?.setData(data);
  });
  return (
    <figure class="chart">
      <figcaption>
        <span class="chart-title">{title}</span>
        {lines.map(({ name, values }, index) => {
          const last = values.at(-1);
          return (
            <span key={name} class={`chart-line chart-line-${index + 1}`}>
              {name} <b>{last === null || last === undefined ? '–' : format(last)}</b>
            </span>
          );
        })}
      </figcaption>
      <div ref={box} class="chart-box" aria-hidden="true" />
    </figure>
  );
}

function optionsOf(
  width: number,
  names: readonly string[],
  format: (value: number) => string,
  steps: readonly number[] | undefined,
): uPlot.Options {
  const style = getComputedStyle(document.documentElement);
  const colour = (name: string) => style.getPropertyValue(name).trim();
  const axis: uPlot.Axis = {
    stroke: colour('--ink-quiet'),
    font: '11px system-ui, sans-serif',
    grid: { stroke: colour('--line'), width: 1 },
    ticks: { show: false },
  };
  return {
    width,
    height: HEIGHT,
    legend: { show: false },
    cursor: { y: false, points: { size: 5 }, drag: { x: false, y: false } },
    padding: [8, 8, 0, 0],
    scales: { y: { range: (_, _low, high) => [0, high > 0 ? high * 1.1 : 1] } },
    axes: [
      {
        ...axis,
        size: 22,
        space: 80,
        grid: { show: false },
        values: (_, ticks) => ticks.map((tick) => timeText(tick * 1000)),
      },
      {
        ...axis,
        size: 58,
        space: 32,
        ...(steps && { incrs: [...steps] }),
        values: (_, ticks) => ticks.map((tick) => format(tick)),
      },
    ],
    series: [
      {},
      ...names.map((label, index) => ({
        label,
        stroke: colour(index === 0 ? '--accent' : '--chart-second'),
        width: 1.5,
        ...(index === 0 ? { fill: colour('--accent-wash') } : { dash: [4, 3] }),
        points: { show: false },
      })),
    ],
  };
}
