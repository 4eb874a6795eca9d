'use strict';
// Filters, sorts and links one table for each form with data-for; without this the page shows everything.
for (const form of document.querySelectorAll('form[data-for]')) {
  const table = document.getElementById(form.dataset.for);
  const body = table.tBodies[0];
  const rows = Array.from(body.rows, row => ({ row, text: row.textContent.toLowerCase() }));
  const status = form.querySelector('[role=status]');
  const fields = Array.from(form.elements).filter(e => e.name);
  const extra = {}; // what no field shows: a batch

  const show = () => {
    const words = form.elements.q.value.toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = fields.filter(f => f.name !== 'q' && f.value).map(f => [f.name, f.value]).concat(Object.entries(extra));
    let shown = 0;
    for (const { row, text } of rows) {
      const visible = wanted.every(([name, value]) => row.dataset[name] === value) && words.every(w => text.includes(w));
      if (row.hidden === visible) row.hidden = !visible;
      if (visible) shown++;
    }
    status.textContent = `${shown} of ${rows.length} shown` + (extra.batch ? `, batch ${extra.batch}` : '');
  };
  const remember = () => {
    const state = new URLSearchParams();
    for (const f of fields) if (f.value) state.set(f.name, f.value);
    for (const [name, value] of Object.entries(extra)) state.set(name, value);
    const query = state.toString();
    try { history.replaceState(null, '', query ? '#' + query : location.pathname + location.search); } catch { /* some viewers forbid it */ }
  };
  // choose sets some of the fields and clears the others.
  const choose = state => {
    for (const name of Object.keys(extra)) delete extra[name];
    for (const f of fields) f.value = state.get(f.name) || '';
    for (const [name, value] of state) if (!fields.some(f => f.name === name)) extra[name] = value;
    show();
  };
  const restore = () => {
    const hash = location.hash.slice(1);
    if (!hash.includes('=')) return false;
    choose(new URLSearchParams(hash));
    return true;
  };

  form.hidden = false;
  form.addEventListener('submit', e => e.preventDefault());
  form.addEventListener('input', () => { show(); remember(); });
  form.addEventListener('reset', e => { e.preventDefault(); choose(new URLSearchParams()); remember(); });
  form.addEventListener('keydown', e => {
    if (e.key === 'Escape' && e.target.value) { e.target.value = ''; e.preventDefault(); show(); remember(); }
  });
  for (const link of document.querySelectorAll('a[data-set]')) {
    link.addEventListener('click', e => {
      e.preventDefault();
      const [name, ...value] = link.dataset.set.split('=');
      choose(new URLSearchParams([[name, value.join('=')]]));
      remember();
      const heading = form.closest('section').querySelector('h2');
      heading.scrollIntoView();
      heading.focus({ preventScroll: true });
    });
  }
  window.addEventListener('hashchange', restore);
  if (!restore()) show();

  const collator = new Intl.Collator('en', { numeric: true });
  for (const head of table.querySelectorAll('thead th[data-sort]')) {
    const button = document.createElement('button');
    button.type = 'button';
    button.textContent = head.textContent;
    head.replaceChildren(button);
    const column = head.cellIndex, kind = head.dataset.sort;
    const key = row => {
      const cell = row.cells[column];
      return kind === 'number' ? (cell.textContent === '' ? Infinity : Number(cell.textContent)) : cell.textContent;
    };
    button.addEventListener('click', () => {
      const down = head.getAttribute('aria-sort') === 'ascending';
      for (const other of head.parentNode.cells) other.removeAttribute('aria-sort');
      head.setAttribute('aria-sort', down ? 'descending' : 'ascending');
      const keyed = rows.map(r => [key(r.row), r.row]);
      const order = kind === 'number' ? (a, b) => (a === b ? 0 : a - b) : collator.compare;
      keyed.sort((a, b) => order(a[0], b[0]));
      if (down) keyed.reverse();
      const sorted = document.createDocumentFragment();
      for (const [, row] of keyed) sorted.append(row);
      body.append(sorted);
    });
  }
}
// On paper nothing can be opened.
let closed = [];
window.addEventListener('beforeprint', () => {
  closed = Array.from(document.querySelectorAll('details:not([open])'));
  for (const d of closed) d.open = true;
});
window.addEventListener('afterprint', () => { for (const d of closed) d.open = false; });
