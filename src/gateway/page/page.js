// One image to the gateway, and what it answers into the page.
const byId = id => document.getElementById(id);
const percent = share => `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;
const withToken = document.documentElement.dataset.token === 'yes';

/** Ends the request before, so that the last image shown is the last one chosen. */
let running = new AbortController();

byId('token-field').hidden = !withToken;
byId('form').addEventListener('submit', event => event.preventDefault());
byId('file').addEventListener('change', ({ target }) => take(target.files[0]));
addEventListener('paste', ({ clipboardData }) => take(clipboardData?.files[0]));
for (const kind of ['dragenter', 'dragover']) addEventListener(kind, event => dragged(event, true));
for (const kind of ['dragleave', 'drop']) addEventListener(kind, event => dragged(event, false));
addEventListener('drop', ({ dataTransfer }) => take(dataTransfer?.files[0]));

for (const button of document.querySelectorAll('[data-sample]')) {
  button.addEventListener('click', () => takeSample(button.dataset.sample));
}

async function takeSample(name) {
  try {
    const response = await fetch(`/samples/${name}`);
    if (!response.ok) throw new Error(response.statusText);
    await take(new File([await response.blob()], name));
  } catch (error) {
    fail({ detail: `The sample cannot be read: ${error.message}` });
  }
}

/** Without this the browser would open a file that is dropped. */
function dragged(event, over) {
  event.preventDefault();
  byId('drop').classList.toggle('over', over);
}

async function take(file) {
  if (file === undefined) return;
  running.abort();
  running = new AbortController();
  const { signal } = running;
  byId('problem').hidden = true;
  byId('result').hidden = true;
  const token = byId('token').value;
  if (withToken && token === '') {
    byId('file').value = '';
    byId('token').focus();
    return fail({ detail: 'The gateway asks for a token.', remedy: 'Enter one, then choose the image again.' });
  }
  say(`Defending ${file.name} …`, 'busy');
  try {
    const headers = { 'content-type': 'application/octet-stream' };
    if (token !== '') headers.authorization = `Bearer ${token}`;
    const name = encodeURIComponent([...file.name].slice(0, 100).join('') || 'image');
    const response = await fetch(`/v1/explain?name=${name}`, { method: 'POST', headers, body: file, signal });
    const answer = await response.json();
    if (signal.aborted) return;
    if (response.ok) show(answer);
    else fail(answer);
  } catch (error) {
    if (!signal.aborted) fail({ detail: `The gateway does not answer: ${error.message}` });
  } finally {
    // The same file may be chosen again.
    byId('file').value = '';
  }
}

/** @param state `busy`; `done`, where only those who do not see the page need to be told */
function say(text, state = '') {
  byId('status').textContent = text;
  byId('status').className = state;
}

function fail({ detail, remedy }) {
  say('');
  byId('problem').replaceChildren(...[detail, remedy].filter(Boolean).map(text => element('p', text)));
  byId('problem').hidden = false;
}

function show({ verdict, labels, pictures, width, height, deflections, gain }) {
  const { label, undefended, runs, runsExecuted, votes, suspicious } = verdict;
  say(`${verdict.key}: ${nameOf(label)}`, 'done');
  byId('title').textContent = nameOf(label);
  const summary = suspicious
    ? [mark('Suspicious'), ` By itself the model says ${nameOf(undefended)}; the vote disagrees.`]
    : [mark('Confirmed'), ' The vote says what the model says by itself.'];
  byId('summary').replaceChildren(...summary);
  byId('summary').className = suspicious ? 'suspicious' : '';
  byId('facts').replaceChildren(
    ...fact('Image', verdict.key),
    ...fact('Runs that agree', `${Math.round(verdict.agreement * runsExecuted)} of ${runsExecuted}`),
    ...fact('Probability', percent(verdict.probability)),
    ...fact('Undefended', `${nameOf(undefended)}, ${percent(undefended.probability)}`),
    ...fact('Model', verdict.model.name),
  );
  for (const [name, url] of Object.entries(pictures)) byId(name).src = url;
  byId('panel').classList.toggle('small', Math.max(width, height) < 128);
  byId('input-note').textContent = `${width} × ${height} pixels`;
  byId('deflected-note').textContent = `${deflections.toLocaleString('en')} in the first run`;
  byId('difference-note').textContent = gain === 0 ? 'nothing changed' : `× ${gain}; grey is no change`;
  byId('votes').replaceChildren(...votes.map(vote => bar(vote, labels, runsExecuted)));
  byId('votes-note').textContent =
    runsExecuted < runs ? `${runsExecuted} of ${runs} runs settled the vote` : `${runs} runs`;
  byId('json').textContent = JSON.stringify(verdict, undefined, 2);
  byId('result').hidden = false;
  byId('title').focus();
}

function bar({ index, count }, labels, runs) {
  const item = document.createElement('li');
  const progress = Object.assign(document.createElement('progress'), { max: runs, value: count });
  const name = labels[index] || `class ${index}`;
  progress.setAttribute('aria-label', `Votes for ${name}`);
  item.append(element('span', name), element('span', String(count)), progress);
  return item;
}

function fact(term, value) {
  const pair = document.createElement('div');
  pair.append(element('dt', term), element('dd', value));
  return [pair];
}

function mark(text) {
  return Object.assign(element('span', text), { className: 'mark' });
}

function nameOf({ name, id, index }) {
  return name || id || `class ${index}`;
}

function element(tag, text) {
  return Object.assign(document.createElement(tag), { textContent: text });
}
