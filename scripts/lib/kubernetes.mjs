// What the chart is tested with: Helm and its unit tests, a validator of manifests, and the API server of Kubernetes
// itself with its database.
import { readFileSync } from 'node:fs';
import { goModule, provideGoProgram } from './go.mjs';
import { aptInstall, onPath } from './system.mjs';

const KUBERNETES = '1.37.1';
const KEDA = '2.21.0';

/** Helm, the chart's unit tests (`helm-unittest`), and the validator `kubeconform`. */
export function provideHelm() {
  provideGoProgram({ name: 'helm', version: '4.3.1', title: 'Helm', module: 'helm.sh/helm/v4/cmd/helm' });
  provideGoProgram({
    name: 'untt',
    version: '1.1.2',
    title: 'the unit tests of Helm charts',
    module: 'github.com/helm-unittest/helm-unittest/cmd/helm-unittest',
    // Its own go.mod replaces a module, which `go install` refuses.
    wrapper: () => `module tools
go 1.26
require github.com/helm-unittest/helm-unittest v1.1.2
replace github.com/vmware-labs/yaml-jsonpath v0.3.2 => github.com/helm-unittest/yaml-jsonpath v0.4.0
`,
  });
  provideGoProgram({
    name: 'kubeconform',
    version: '0.8.0',
    title: 'the validator of manifests',
    module: 'github.com/yannh/kubeconform/cmd/kubeconform',
  });
}

/** `kube-apiserver` and `etcd`. */
export function provideApiServer() {
  if (onPath('etcd') === undefined && !aptInstall('etcd', 'etcd-server')) {
    console.error('The tests of the chart need etcd (Debian, Ubuntu: sudo apt-get install etcd-server)');
    process.exit(3);
  }
  const [major, minor, patch] = KUBERNETES.split('.');
  provideGoProgram({
    name: 'kube-apiserver',
    version: KUBERNETES,
    title: 'the API server of Kubernetes',
    module: 'k8s.io/kubernetes/cmd/kube-apiserver',
    // Parts of it that are released as modules of their own stand beside it in its sources.
    wrapper: goMod => {
      const own = readFileSync(goMod('k8s.io/kubernetes', KUBERNETES), 'utf8');
      const parts = [...own.matchAll(/^\s*(k8s\.io\/\S+) => \.\/staging/gm)].map(([, path]) => path);
      const replaced = parts.map(path => `replace ${path} => ${path} v0.${minor}.${patch}`);
      return `module tools\ngo 1.26\nrequire k8s.io/kubernetes v${KUBERNETES}\n${replaced.join('\n')}\n`;
    },
    // Charts ask for the version, which a release sets in this way.
    variables: {
      'k8s.io/component-base/version.gitVersion': `v${KUBERNETES}`,
      'k8s.io/component-base/version.gitMajor': major,
      'k8s.io/component-base/version.gitMinor': minor,
    },
  });
}

/** `keda-operator`, which scales what its custom resources tell. */
export function provideKeda() {
  const module = 'github.com/kedacore/keda/v2';
  provideGoProgram({
    name: 'keda-operator',
    version: KEDA,
    title: 'the operator of KEDA',
    module: `${module}/cmd/operator`,
    // Its own go.mod replaces a module, which `go install` refuses.
    wrapper: goMod => {
      const replaced = readFileSync(goMod(module, KEDA), 'utf8').match(/^replace .*$/gm) ?? [];
      return `module tools\ngo 1.26\nrequire ${module} v${KEDA}\n${replaced.join('\n')}\n`;
    },
  });
}

/** The definitions of custom resources that the chart may use; their folders are told by CUSTOM_RESOURCES. */
export function provideCustomResources() {
  const keda = goModule('github.com/kedacore/keda/v2', KEDA);
  const prometheus = goModule('github.com/prometheus-operator/prometheus-operator', '0.85.0');
  process.env.CUSTOM_RESOURCES = `${keda}/config/crd/bases:${prometheus}/example/prometheus-operator-crd`;
}
