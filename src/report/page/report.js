// The script of report.html: filters, search by key, and the list of images in portions.
(() => {
  const PORTION = 200;
  const rows = JSON.parse(document.getElementById('rows').textContent);
  const cards = [...document.querySelectorAll('.card')];
  const buttons = [...document.querySelectorAll('[data-filter]')];
  const body = document.querySelector('#list tbody');
  const search = document.getElementById('search');
  const matches = document.getElementById('matches');
  const more = document.getElementById('more');
  const folded = text => text.normalize('NFC').toLowerCase();
  for (const row of rows) row.folded = folded(row.key);

  let state = 'all';
  let found = rows;
  let drawn = 0;

  const cell = (line, text, kind) => {
    const element = document.createElement('td');
    if (kind) element.className = kind;
    const isolated = document.createElement('bdi');
    isolated.textContent = text;
    element.append(isolated);
    line.append(element);
  };

  const drawPortion = () => {
    const fragment = document.createDocumentFragment();
    for (const row of found.slice(drawn, drawn + PORTION)) {
      const line = document.createElement('tr');
      line.dataset.state = row.state;
      cell(line, row.key);
      cell(line, row.state, row.state === 'ok' ? '' : `mark ${row.state}`);
      cell(line, row.label);
      cell(line, row.other);
      cell(line, row.agreement === undefined ? '' : `${Math.round(row.agreement * 100)} %`, 'number');
      fragment.append(line);
    }
    body.append(fragment);
    drawn = Math.min(drawn + PORTION, found.length);
    more.hidden = drawn >= found.length;
    more.textContent = `Show more (${found.length - drawn} left)`;
  };

  const apply = () => {
    const wanted = folded(search.value);
    const fits = (rowState, key) => (state === 'all' || rowState === state) && key.includes(wanted);
    let shown = 0;
    for (const card of cards) {
      card.hidden = !fits(card.dataset.state, folded(card.dataset.key));
      if (!card.hidden) shown++;
    }
    found = rows.filter(row => fits(row.state, row.folded));
    drawn = 0;
    body.replaceChildren();
    drawPortion();
    document.getElementById('no-cards').hidden = shown > 0;
    document.getElementById('no-rows').hidden = found.length > 0;
    matches.textContent = `${found.length} of ${rows.length} listed images, ${shown} of ${cards.length} with pictures`;
  };

  for (const button of buttons) {
    button.addEventListener('click', () => {
      state = button.dataset.filter;
      for (const other of buttons) other.setAttribute('aria-pressed', String(other === button));
      apply();
    });
  }
  search.addEventListener('input', apply);
  more.addEventListener('click', drawPortion);
  // Paper has no button to show more.
  window.addEventListener('beforeprint', () => {
    while (drawn < found.length) drawPortion();
  });
  document.getElementById('no-script').remove();
  document.querySelector('.controls').hidden = false;
  apply();
})();
