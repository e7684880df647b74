package check

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// manifests are the objects of one overlay, each decoded strictly: a field that
// its kind does not have, or of another type, is an error.
type manifests struct {
	deployment     *appsv1.Deployment
	service        *corev1.Service
	account        *corev1.ServiceAccount
	disruption     *policyv1.PodDisruptionBudget
	network        *networkingv1.NetworkPolicy
	configs        map[string]*corev1.ConfigMap
	scaled         *scaledObject
	authentication *triggerAuthentication
}

// render renders an overlay as `kubectl apply -k` does.
func render(t *testing.T, folder string) *manifests {
	t.Helper()
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), path(folder))
	if err != nil {
		t.Fatal(err)
	}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		appsv1.AddToScheme, corev1.AddToScheme, networkingv1.AddToScheme, policyv1.AddToScheme, addKEDA,
	} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	m := &manifests{configs: map[string]*corev1.ConfigMap{}}
	for _, r := range resources.Resources() {
		text, err := r.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		object, _, err := decoder.Decode(text, nil, nil)
		if err != nil {
			t.Fatalf("%s: %v\n%s", folder, err, text)
		}
		if problems := validation.IsDNS1123Subdomain(r.GetName()); len(problems) > 0 {
			t.Errorf("%s %s: %s", r.GetKind(), r.GetName(), strings.Join(problems, "; "))
		}
		switch o := object.(type) {
		case *appsv1.Deployment:
			m.deployment = o
		case *corev1.Service:
			m.service = o
		case *corev1.ServiceAccount:
			m.account = o
		case *policyv1.PodDisruptionBudget:
			m.disruption = o
		case *networkingv1.NetworkPolicy:
			m.network = o
		case *corev1.ConfigMap:
			m.configs[o.Name] = o
		case *scaledObject:
			m.scaled = o
		case *triggerAuthentication:
			m.authentication = o
		default:
			t.Errorf("%s: nothing checks a %T", folder, o)
		}
	}
	return m
}

// Decoding must refuse what Kubernetes would; else the rest proves nothing.
func TestStrictDecodingFindsMistakes(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := appsv1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	for _, wrong := range []string{
		"apiVersion: apps/v1\nkind: Deployment\nspec: {replica: 2}",
		"apiVersion: apps/v1\nkind: Deployment\nspec: {replicas: two}",
		"apiVersion: apps/v1\nkind: Deployment\nspec: {replicas: 2, replicas: 3}",
		"apiVersion: apps/v2\nkind: Deployment\nspec: {replicas: 2}",
	} {
		if _, _, err := decoder.Decode([]byte(wrong), nil, nil); err == nil {
			t.Errorf("decoded without an error:\n%s", wrong)
		}
	}
}

func TestManifests(t *testing.T) {
	for _, folder := range []string{"deploy/kustomize/base", "deploy/kustomize/overlays/production"} {
		t.Run(filepath.Base(folder), func(t *testing.T) {
			m := render(t, folder)
			if m.deployment == nil || m.service == nil || m.account == nil || m.disruption == nil || m.network == nil {
				t.Fatal("one of Deployment, Service, ServiceAccount, PodDisruptionBudget and NetworkPolicy is missing")
			}
			m.requireConnected(t)
			m.requireHardened(t)
			m.requireProbes(t)
			m.requireConfigured(t)
			m.requireSpread(t)
		})
	}
}

func (m *manifests) pod() *corev1.PodSpec         { return &m.deployment.Spec.Template.Spec }
func (m *manifests) container() *corev1.Container { return &m.pod().Containers[0] }

// requireConnected: every selector selects the pods, every name that is referred
// to exists.
func (m *manifests) requireConnected(t *testing.T) {
	t.Helper()
	pods := labels.Set(m.deployment.Spec.Template.Labels)
	selectors := map[string]*metav1.LabelSelector{
		"Deployment": m.deployment.Spec.Selector, "PodDisruptionBudget": m.disruption.Spec.Selector, "NetworkPolicy": &m.network.Spec.PodSelector,
		"Service": {MatchLabels: m.service.Spec.Selector},
	}
	for i, s := range m.pod().TopologySpreadConstraints {
		selectors[fmt.Sprintf("topologySpreadConstraints[%d]", i)] = s.LabelSelector
	}
	for what, s := range selectors {
		selector, err := metav1.LabelSelectorAsSelector(s)
		if err != nil {
			t.Errorf("%s: %v", what, err)
		} else if selector.Empty() || !selector.Matches(pods) {
			t.Errorf("%s selects %s, the pods have %s", what, selector, pods)
		}
	}
	if m.pod().ServiceAccountName != m.account.Name {
		t.Errorf("the pods run as %s, there is %s", m.pod().ServiceAccountName, m.account.Name)
	}
	ports := map[string]int32{}
	for _, p := range m.container().Ports {
		ports[p.Name] = p.ContainerPort
	}
	if p := m.service.Spec.Ports[0].TargetPort.StrVal; ports[p] == 0 {
		t.Errorf("the Service goes to port %q, the container has %v", p, ports)
	}
	if p := m.network.Spec.Ingress[0].Ports[0].Port.StrVal; ports[p] == 0 {
		t.Errorf("the NetworkPolicy lets in to port %q, the container has %v", p, ports)
	}
	if p := m.deployment.Spec.Template.Annotations["prometheus.io/port"]; p != fmt.Sprint(ports["http"]) {
		t.Errorf("the annotation says that port %s is to be scraped, it is %d", p, ports["http"])
	}
	volumes := map[string]bool{}
	for _, v := range m.pod().Volumes {
		volumes[v.Name] = true
		if v.ConfigMap != nil && m.configs[v.ConfigMap.Name] == nil {
			t.Errorf("volume %s is of ConfigMap %s, which does not exist", v.Name, v.ConfigMap.Name)
		}
	}
	for _, mount := range m.container().VolumeMounts {
		if !volumes[mount.Name] || !mount.ReadOnly {
			t.Errorf("mount %+v: no such volume, or not read-only", mount)
		}
	}
}

// requireHardened asks for what the "restricted" Pod Security Standard asks for,
// and a root that cannot be written.
func (m *manifests) requireHardened(t *testing.T) {
	t.Helper()
	p, c := m.pod().SecurityContext, m.container().SecurityContext
	if p == nil || c == nil || p.RunAsNonRoot == nil || !*p.RunAsNonRoot || p.RunAsUser == nil || *p.RunAsUser == 0 ||
		p.SeccompProfile == nil || p.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
		t.Errorf("the pod's security context is %+v", p)
	}
	if c.AllowPrivilegeEscalation == nil || *c.AllowPrivilegeEscalation || c.ReadOnlyRootFilesystem == nil || !*c.ReadOnlyRootFilesystem ||
		c.Capabilities == nil || !slices.Equal(c.Capabilities.Drop, []corev1.Capability{"ALL"}) || len(c.Capabilities.Add) > 0 {
		t.Errorf("the container's security context is %+v", c)
	}
	if a := m.pod().AutomountServiceAccountToken; a == nil || *a {
		t.Error("the pods get a token of Kubernetes")
	}
	r := m.container().Resources
	if r.Requests.Cpu().IsZero() || r.Requests.Memory().IsZero() || r.Limits.Memory().IsZero() {
		t.Errorf("resources %v", r)
	}
	for _, e := range m.container().Env {
		if e.Name == "GOMEMLIMIT" {
			limit, ok := strings.CutSuffix(e.Value, "MiB")
			var n int64
			if _, err := fmt.Sscan(limit, &n); err != nil || !ok || n<<20 >= r.Limits.Memory().Value() {
				t.Errorf("GOMEMLIMIT %s is not below the limit of %s", e.Value, r.Limits.Memory())
			}
		}
		if e.ValueFrom != nil || regexp.MustCompile(`(?i)password|secret|token`).MatchString(e.Name) {
			t.Errorf("environment variable %s: secrets come from files", e.Name)
		}
	}
	if image := m.container().Image; !regexp.MustCompile(`:v\d+\.\d+\.\d+$|@sha256:[0-9a-f]{64}$`).MatchString(image) {
		t.Errorf("the image %s has no fixed version", image)
	}
}

// requireProbes compares the probes with what nudged answers.
func (m *manifests) requireProbes(t *testing.T) {
	t.Helper()
	for what, probe := range map[string]*corev1.Probe{
		"/livez": m.container().LivenessProbe, "/livez at the start": m.container().StartupProbe, "/readyz": m.container().ReadinessProbe,
	} {
		want, _, _ := strings.Cut(what, " ")
		if probe == nil || probe.HTTPGet == nil || probe.HTTPGet.Path != want || probe.HTTPGet.Port.StrVal != "http" {
			t.Errorf("probe of %s: %+v", what, probe)
		}
	}
	if s := m.pod().TerminationGracePeriodSeconds; s == nil || *s <= 10 {
		t.Errorf("terminationGracePeriodSeconds %v: nudged may take 10 seconds", s)
	}
}

// requireConfigured lays the pod's files out as they are mounted and lets nudged
// read them.
func (m *manifests) requireConfigured(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	var edits []string // /etc/… is under dir here
	for _, mount := range m.container().VolumeMounts {
		to := filepath.Join(dir, mount.MountPath)
		if err := os.MkdirAll(to, 0o755); err != nil {
			t.Fatal(err)
		}
		edits = append(edits, " "+mount.MountPath, " "+to)
		for _, v := range m.pod().Volumes {
			if v.Name != mount.Name {
				continue
			}
			files := map[string]string{}
			if v.ConfigMap != nil {
				files = m.configs[v.ConfigMap.Name].Data
			}
			if v.Secret != nil {
				files = map[string]string{"kafka-password": "k", "redis-password": "r", "ca.crt": "c"}
			}
			for name, text := range files {
				if err := os.WriteFile(filepath.Join(to, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	args := slices.Clone(m.container().Args)
	requireKnownFlags(t, args)
	i := slices.Index(args, "--config")
	if args[0] != "run" || i < 0 {
		t.Fatalf("arguments %q", args)
	}
	file := filepath.Join(dir, args[i+1])
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	// Longer paths first: /etc/nudged begins /etc/nudged-rules too.
	pairs := make([][2]string, 0, len(edits)/2)
	for p := range slices.Chunk(edits, 2) {
		pairs = append(pairs, [2]string(p))
	}
	slices.SortFunc(pairs, func(a, b [2]string) int { return len(b[0]) - len(a[0]) })
	for _, p := range pairs {
		text = bytes.ReplaceAll(text, []byte(p[0]), []byte(p[1]))
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	c := configured(t, file)
	if want := fmt.Sprintf("0.0.0.0:%d", m.container().Ports[0].ContainerPort); c.HTTP.Addr != want {
		t.Errorf("nudged answers at %s, the container's port says %s", c.HTTP.Addr, want)
	}
	output(t, nil, program, "check", c.Rules)
	m.requireReachable(t, c)
	if m.scaled != nil {
		m.scaled.requireFits(t, m, c)
	}
}

// requireReachable: the policy lets out to the ports that the configuration
// names, and nothing else but names and traces.
func (m *manifests) requireReachable(t *testing.T, c configuration) {
	t.Helper()
	allowed := map[string]bool{}
	for _, rule := range m.network.Spec.Egress {
		if len(rule.To) == 0 || len(rule.Ports) == 0 {
			t.Errorf("the policy lets out to anywhere, or to any port: %+v", rule)
		}
		for _, p := range rule.Ports {
			allowed[p.Port.String()] = true
		}
	}
	want := []string{"53", "4318"}
	for _, a := range append(c.Kafka.Brokers, c.Redis.Addrs...) {
		want = append(want, a[strings.LastIndex(a, ":")+1:])
	}
	for _, port := range want {
		if !allowed[port] {
			t.Errorf("the policy does not let out to port %s", port)
		}
		delete(allowed, port)
	}
	if len(allowed) > 0 {
		t.Errorf("the policy lets out to ports that nothing needs: %v", allowed)
	}
	for _, e := range m.container().Env {
		if e.Name == "OTEL_EXPORTER_OTLP_ENDPOINT" && !strings.HasSuffix(e.Value, ":4318") {
			t.Errorf("traces go to %s", e.Value)
		}
	}
	if !slices.Equal(m.network.Spec.PolicyTypes, []networkingv1.PolicyType{"Ingress", "Egress"}) {
		t.Errorf("the policy holds for %v", m.network.Spec.PolicyTypes)
	}
}

func (m *manifests) requireSpread(t *testing.T) {
	t.Helper()
	keys := map[string]bool{}
	for _, s := range m.pod().TopologySpreadConstraints {
		keys[s.TopologyKey] = true
	}
	if !keys["topology.kubernetes.io/zone"] || !keys["kubernetes.io/hostname"] || len(keys) != len(m.pod().TopologySpreadConstraints) {
		t.Errorf("the pods are spread over %v", keys)
	}
	if d := m.disruption.Spec.MaxUnavailable; d == nil || d.IntValue() != 1 {
		t.Errorf("disruption budget %+v", m.disruption.Spec)
	}
	replicas := m.deployment.Spec.Replicas
	if (replicas == nil) != (m.scaled != nil) || replicas != nil && *replicas < 2 {
		t.Errorf("replicas %v, scaled by KEDA: %t: exactly one of the two says how many, and at least two", replicas, m.scaled != nil)
	}
}
