package check

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/goccy/go-yaml"
)

// loadCompose loads a compose file as `docker compose` does.
func loadCompose(t *testing.T, file string, env ...string) *types.Project {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{path(file)}, cli.WithEnv(env), cli.WithInterpolation(true), cli.WithResolvedPaths(true))
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return project
}

func TestComposeServices(t *testing.T) {
	p := loadCompose(t, "docker-compose.yml")
	for _, name := range []string{"kafka", "topics", "redis", "nudged", "generator", "otel-collector", "jaeger", "prometheus", "grafana"} {
		if _, ok := p.Services[name]; !ok {
			t.Errorf("there is no service %s", name)
		}
	}
	pinned := regexp.MustCompile(`:v?\d+\.\d+(\.\d+)?(-[a-z]+)?$`)
	// Why each has no health check stands beside it.
	unasked := []string{"topics", "generator", "otel-collector"}
	for name, s := range p.Services {
		if !pinned.MatchString(s.Image) && s.Image != "nudged:local" {
			t.Errorf("%s: the image %s has no fixed version", name, s.Image)
		}
		for _, port := range s.Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("%s: port %s is open beyond this machine (%q)", name, port.Published, port.HostIP)
			}
		}
		asked := s.HealthCheck != nil && !s.HealthCheck.Disable && len(s.HealthCheck.Test) > 0
		if asked == slices.Contains(unasked, name) {
			t.Errorf("%s: health check %+v", name, s.HealthCheck)
		}
		for dependency, on := range s.DependsOn {
			d := p.Services[dependency]
			if on.Condition == types.ServiceConditionHealthy && (d.HealthCheck == nil || d.HealthCheck.Disable) {
				t.Errorf("%s waits until %s is healthy, which never tells", name, dependency)
			}
		}
		for _, v := range s.Volumes {
			switch v.Type {
			case types.VolumeTypeBind:
				if _, err := os.Stat(v.Source); err != nil || !v.ReadOnly {
					t.Errorf("%s: mounts %s, read-only %t: %v", name, v.Source, v.ReadOnly, err)
				}
			case types.VolumeTypeVolume:
				if _, ok := p.Volumes[v.Source]; !ok || v.Source == "" {
					t.Errorf("%s: volume %q of %s has no name", name, v.Source, v.Target)
				}
			}
		}
	}
	for _, name := range []string{"kafka", "redis", "prometheus", "grafana"} {
		if !slices.ContainsFunc(p.Services[name].Volumes, func(v types.ServiceVolumeConfig) bool { return v.Type == types.VolumeTypeVolume }) {
			t.Errorf("%s keeps its data in no named volume", name)
		}
	}
}

// The other files that are loaded by compose.
func TestLocalComposeLoads(t *testing.T) {
	p := loadCompose(t, "deploy/local/compose.yml", "KAFKA_PORT=19092", "REDIS_PORT=16379")
	whole := loadCompose(t, "docker-compose.yml")
	for name, s := range p.Services {
		if s.Image != whole.Services[name].Image {
			t.Errorf("%s is %s in deploy/local, %s in docker-compose.yml", name, s.Image, whole.Services[name].Image)
		}
	}
	redis := func(p *types.Project) []string { return p.Services["redis"].Command }
	if !slices.Equal(redis(p), redis(whole)) {
		t.Errorf("Redis is run differently: %q and %q", redis(p), redis(whole))
	}
	for _, wanted := range []string{"--appendonly yes", "--maxmemory-policy noeviction", "--hash-max-listpack-value 512"} {
		if !strings.Contains(strings.Join(redis(whole), " "), wanted) {
			t.Errorf("Redis is run without %s", wanted)
		}
	}
}

// nudged takes its arguments and configuration, and finds what they name.
func TestComposeFitsNudged(t *testing.T) {
	p := loadCompose(t, "docker-compose.yml")
	nudged, generator := p.Services["nudged"], p.Services["generator"]
	requireKnownFlags(t, nudged.Command)
	requireKnownFlags(t, generator.Command)
	requireKnownFlags(t, nudged.HealthCheck.Test[2:])
	if got := nudged.HealthCheck.Test[:2]; got[0] != "CMD" || got[1] != "/nudged" {
		t.Errorf("the health check runs %q; the image holds /nudged alone", got)
	}
	if nudged.Deploy == nil || nudged.Deploy.Replicas == nil || *nudged.Deploy.Replicas != 2 {
		t.Errorf("deploy %+v: two processes are promised", nudged.Deploy)
	}
	mounted := map[string]string{}
	for _, v := range nudged.Volumes {
		mounted[v.Target] = v.Source
	}
	file := mounted[argument(nudged.Command, "--config")]
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("--config is not mounted: %v", err)
	}
	for target, source := range mounted {
		text = []byte(strings.ReplaceAll(string(text), target, source))
	}
	c := configured(t, write(t, "nudged.yaml", string(text)))
	output(t, nil, program, "check", c.Rules)

	port := nudged.Ports[0]
	if want := fmt.Sprintf("0.0.0.0:%d", port.Target); c.HTTP.Addr != want || port.Published != "8080-8081" {
		t.Errorf("nudged answers at %s, published is %s of %d", c.HTTP.Addr, port.Published, port.Target)
	}
	if _, asked, _ := strings.Cut(argument(nudged.HealthCheck.Test, "--addr"), ":"); !strings.HasSuffix(c.HTTP.Addr, ":"+asked) {
		t.Errorf("the health check asks port %s, nudged answers at %s", asked, c.HTTP.Addr)
	}
	kafka := *p.Services["kafka"].Environment["KAFKA_ADVERTISED_LISTENERS"]
	for _, broker := range append(c.Kafka.Brokers, argument(generator.Command, "--brokers"), *p.Services["topics"].Environment["BOOTSTRAP"]) {
		if !strings.Contains(kafka, "//"+broker) {
			t.Errorf("%s is not among the listeners %s", broker, kafka)
		}
	}
	if c.Redis.Addrs[0] != "redis:6379" {
		t.Errorf("Redis is at %s", c.Redis.Addrs)
	}
	if topic := argument(generator.Command, "--topic"); !slices.Contains(c.Kafka.Topics.Events, topic) {
		t.Errorf("the generator produces to %s, nudged reads %s", topic, c.Kafka.Topics.Events)
	}
	// What the script makes when nothing names the topics.
	script := read(t, "deploy/kafka/topics.sh")
	for _, topic := range c.topics() {
		if !regexp.MustCompile(`"\$\{[A-Z_]+:=` + topic + `\}"`).MatchString(script) {
			t.Errorf("deploy/kafka/topics.sh does not make %s", topic)
		}
	}
}

func argument(args []string, flag string) string {
	if i := slices.Index(args, flag); i >= 0 && i+1 < len(args) {
		return args[i+1]
	}
	return ""
}

// Traces: nudged -> collector -> Jaeger -> Grafana; metrics: nudged -> Prometheus
// -> Grafana. Each names the next as the compose file calls it.
func TestComposeObserversFindEachOther(t *testing.T) {
	p := loadCompose(t, "docker-compose.yml")
	var collector struct {
		Receivers struct {
			OTLP struct {
				Protocols map[string]struct{ Endpoint string }
			}
		}
		Exporters map[string]struct{ Endpoint string }
		Service   struct {
			Telemetry struct {
				Metrics struct {
					Readers []struct {
						Pull struct {
							Exporter struct{ Prometheus struct{ Port int } }
						}
					}
				}
			}
			Pipelines map[string]struct{ Receivers, Processors, Exporters []string }
		}
		Processors map[string]any
	}
	parse(t, "deploy/otel/collector.yaml", &collector)
	endpoint := *p.Services["nudged"].Environment["OTEL_EXPORTER_OTLP_ENDPOINT"]
	if _, port, _ := strings.Cut(collector.Receivers.OTLP.Protocols["http"].Endpoint, ":"); endpoint != "http://otel-collector:"+port {
		t.Errorf("nudged sends traces to %s, the collector listens on %s", endpoint, port)
	}
	if got := collector.Exporters["otlp"].Endpoint; got != "jaeger:4317" {
		t.Errorf("the collector sends to %s", got)
	}
	traces := collector.Service.Pipelines["traces"]
	for _, processor := range traces.Processors {
		if _, ok := collector.Processors[processor]; !ok {
			t.Errorf("the collector has no processor %s", processor)
		}
	}
	if !slices.Equal(traces.Receivers, []string{"otlp"}) || !slices.Equal(traces.Exporters, []string{"otlp"}) {
		t.Errorf("traces go from %v to %v", traces.Receivers, traces.Exporters)
	}

	var prometheus struct {
		RuleFiles     []string `yaml:"rule_files"`
		ScrapeConfigs []struct {
			JobName string `yaml:"job_name"`
			DNS     []struct {
				Names []string
				Port  uint32
			} `yaml:"dns_sd_configs"`
			Static []struct{ Targets []string } `yaml:"static_configs"`
		} `yaml:"scrape_configs"`
	}
	parse(t, "deploy/prometheus/prometheus.yml", &prometheus)
	for _, job := range prometheus.ScrapeConfigs {
		switch job.JobName {
		case "nudged":
			if job.DNS[0].Names[0] != "nudged" || job.DNS[0].Port != p.Services["nudged"].Ports[0].Target {
				t.Errorf("Prometheus scrapes %+v", job.DNS)
			}
		case "otel-collector":
			if want := fmt.Sprintf("otel-collector:%d", collector.Service.Telemetry.Metrics.Readers[0].Pull.Exporter.Prometheus.Port); job.Static[0].Targets[0] != want {
				t.Errorf("Prometheus scrapes %v, the collector answers at %s", job.Static, want)
			}
		default:
			t.Errorf("nothing checks the job %s", job.JobName)
		}
	}
	var sources struct {
		Datasources []struct{ UID, URL string }
	}
	parse(t, "deploy/grafana/provisioning/datasources/datasources.yaml", &sources)
	ports := map[string]string{"prometheus": "9090", "jaeger": "16686"}
	for _, s := range sources.Datasources {
		if want := "http://" + s.UID + ":" + ports[s.UID]; s.URL != want {
			t.Errorf("Grafana finds %s at %s, want %s", s.UID, s.URL, want)
		}
	}
	// Every file that Prometheus and Grafana are told of is mounted where they look.
	requireMounted(t, p, "prometheus", append(prometheus.RuleFiles, "prometheus.yml"), "/etc/prometheus")
	requireMounted(t, p, "grafana", []string{filepath.Base(*p.Services["grafana"].Environment["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])}, "/var/lib/grafana/dashboards")
}

func requireMounted(t *testing.T, p *types.Project, service string, files []string, folder string) {
	t.Helper()
	for _, file := range files {
		if !slices.ContainsFunc(p.Services[service].Volumes, func(v types.ServiceVolumeConfig) bool {
			source := v.Source
			if v.Target == folder {
				source = filepath.Join(v.Source, file)
			}
			_, err := os.Stat(source)
			return err == nil && (v.Target == folder || v.Target == folder+"/"+file)
		}) {
			t.Errorf("%s does not find %s/%s", service, folder, file)
		}
	}
}

func parse(t *testing.T, name string, into any) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(read(t, name)), into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}
