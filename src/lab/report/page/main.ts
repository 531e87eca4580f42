/** The page of a report: data that stands in it → what the reader sees. */
import type { ReportData } from '../page-data.ts';
import { Answers } from './answers.ts';
import { controls } from './controls.ts';
import { h } from './element.ts';
import { Graph } from './graph.ts';
import { Grid } from './grid.ts';
import { Model } from './model.ts';
import { footer, legend, paper, summary } from './parts.ts';
import { Viewer } from './state.ts';
import { StepNotes } from './step-notes.ts';

const data = JSON.parse(document.getElementById('data')?.textContent ?? '') as ReportData;
const viewer = new Viewer(new Model(data));
const grid = new Grid(viewer);
const answers = new Answers(viewer);
const notes = new StepNotes(viewer);
const graph = new Graph(viewer);

document.body.prepend(
  h('a', { class: 'skip', text: 'to the matrix', attributes: { href: '#matrix' } }),
  summary(viewer.model),
  controls(viewer),
  h(
    'main',
    { class: 'screen' },
    h('section', { class: 'where' }, h('h2', { text: 'Who may talk to whom' }), grid.element, legend(), notes.element),
    h('section', { class: 'why', attributes: { 'aria-label': 'answers' } }, h('h2', { text: 'Why' }), answers.element),
    h('section', { class: 'picture' }, h('h2', { text: 'Allowed connections' }), graph.element),
  ),
  footer(viewer.model),
);
const onPaper = paper(viewer);
document.body.append(onPaper.element);
window.addEventListener('beforeprint', () => onPaper.draw());
