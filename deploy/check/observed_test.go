package check

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// query is an expression that somebody will look at.
type query struct {
	where, expr string
	shown       bool // on the dashboard: it should have something to show
}

// dashboard is what of Grafana's model is checked.
type dashboard struct {
	Panels []struct {
		ID          int
		Type, Title string
		Description string
		Datasource  struct{ UID string }
		Targets     []struct{ Expr string }
		GridPos     struct{ X, Y, W, H int }
	}
	Templating struct {
		List []struct {
			Name  string
			Query struct{ Query string }
		}
	}
	Annotations struct{ List []struct{ Expr string } }
}

func loadDashboard(t *testing.T) *dashboard {
	t.Helper()
	var d dashboard
	if err := json.Unmarshal([]byte(read(t, "deploy/grafana/dashboards/nudged.json")), &d); err != nil {
		t.Fatal(err)
	}
	return &d
}

// queries are those of the dashboard, its variables filled in, and of the alerts.
func queries(t *testing.T) []query {
	t.Helper()
	filled := strings.NewReplacer("$__rate_interval", "30s", "$job", "nudged", "$topic", ".*", "$rule", ".*")
	var all []query
	for _, p := range loadDashboard(t).Panels {
		for _, target := range p.Targets {
			all = append(all, query{"panel " + p.Title, filled.Replace(target.Expr), true})
		}
	}
	for _, a := range alerts(t) {
		all = append(all, query{"alert " + a.Alert, a.Expr, false})
	}
	return all
}

func TestDashboardIsWhole(t *testing.T) {
	d := loadDashboard(t)
	ids := map[int]bool{}
	for i, p := range d.Panels {
		if ids[p.ID] || p.Title == "" {
			t.Errorf("panel %d: id %d, title %q", i, p.ID, p.Title)
		}
		ids[p.ID] = true
		if p.Type == "row" {
			continue
		}
		if p.Description == "" || len(p.Targets) == 0 || p.Datasource.UID != "prometheus" {
			t.Errorf("panel %s has no description, no query, or another source (%s)", p.Title, p.Datasource.UID)
		}
		for _, q := range d.Panels[:i] {
			a, b := p.GridPos, q.GridPos
			if a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H {
				t.Errorf("panels %s and %s lie over each other", p.Title, q.Title)
			}
		}
	}
}

// prometheus is one under way.
type prometheus struct {
	t   *testing.T
	url string
}

// ask asks its HTTP API.
func (p *prometheus) ask(path string, values url.Values, into any) error {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+path+"?"+values.Encode(), http.NoBody)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	var answer struct {
		Status, Error string
		Data          json.RawMessage
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return fmt.Errorf("%w: %s", err, text)
	}
	if answer.Status != "success" {
		return fmt.Errorf("%s: %s", answer.Status, answer.Error)
	}
	return json.Unmarshal(answer.Data, into)
}

// sample is an element of an instant vector.
type sample struct {
	Metric map[string]string
	Value  [2]any
}

func (p *prometheus) query(expr string) ([]sample, error) {
	var data struct{ Result json.RawMessage }
	if err := p.ask("/api/v1/query", url.Values{"query": {expr}}, &data); err != nil {
		return nil, err
	}
	var samples []sample
	return samples, json.Unmarshal(data.Result, &samples)
}

// observe starts a Prometheus that scrapes every second, with rules as given.
func observe(t *testing.T, rules string, jobs map[string]string) *prometheus {
	t.Helper()
	name := prometheusProgram(t, "prometheus")
	dir := t.TempDir()
	config := fmt.Sprintf("global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [%q]\nscrape_configs:\n", rules)
	for _, job := range slices.Sorted(maps.Keys(jobs)) {
		config += fmt.Sprintf("  - {job_name: %s, static_configs: [{targets: [%q]}]}\n", job, jobs[job])
	}
	if err := os.WriteFile(filepath.Join(dir, "prometheus.yml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	addr := freeAddress(t)
	p := &prometheus{t, "http://" + addr}
	d := launch(t, nil, name, "--config.file="+filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+addr, "--enable-feature=exemplar-storage")
	eventually(t, "Prometheus has scraped "+fmt.Sprint(len(jobs))+" jobs", func() bool {
		select {
		case <-d.done:
			t.Fatalf("Prometheus has ended:\n%s", d.said())
		default:
		}
		up, err := p.query("up == 1")
		return err == nil && len(up) == len(jobs)
	})
	return p
}

// shop is a nudged with traffic, and a nudged forward behind it.
type shop struct {
	daemon, forward         *running
	daemonAddr, forwardAddr string
}

func openShop(t *testing.T) *shop {
	t.Helper()
	kafka, redis := services(t)
	name := fmt.Sprintf("check-%d", time.Now().UnixNano())
	cl, err := kgo.NewClient(kgo.SeedBrokers(kafka))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	topic := func(kind string) string { return name + "-" + kind }
	kinds := []string{topic("events"), topic("sends"), topic("decisions"), topic("dead"), topic("forward-dead")}
	adm := kadm.NewClient(cl)
	made, err := adm.CreateTopics(t.Context(), 2, 1, nil, kinds...)
	if err == nil {
		err = made.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = adm.DeleteTopics(context.Background(), kinds...) })
	// It does not take the first command of all.
	refused := make(chan struct{}, 1)
	refused <- struct{}{}
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		select {
		case <-refused:
			w.WriteHeader(http.StatusGone)
		default:
		}
	}))
	t.Cleanup(receiver.Close)
	rules := write(t, "rules.yaml", `
experiments:
  looked_at:
    arms: [{name: control, weight: 50}, {name: push, weight: 50}]
    guardrails: [{name: looks, on: product_view, within: 1h, max_percent: 0.1}]
rules:
  - name: goes_wrong
    on: search
    experiment: looked_at
    auto_pause: true
    send: {channel: push, class: transactional, template: t}
  - name: at_once
    on: search
    send: {channel: push, class: transactional, template: t}
  - name: later
    on: product_view
    wait: 1s
    when: "trigger.price < 0.0 || true"
    send: {channel: push, class: transactional, template: t}
`)
	s := &shop{daemonAddr: freeAddress(t), forwardAddr: freeAddress(t)}
	config := func(addr string) string {
		return write(t, "nudged.yaml", fmt.Sprintf(`
kafka:
  brokers: [%q]
  group: %s
  topics: {events: [%s], sends: %s, decisions: %s, dead_letters: %s}
redis: {addrs: [%q]}
rules: %q
http: {addr: %q}
forward: {group: %s-forward, url: %q, dead_letters: %s, retry_for: 1m, secrets: [whsec_%s]}
`, kafka, name, kinds[0], kinds[1], kinds[2], kinds[3], redis, rules, addr, name, receiver.URL, kinds[4], base64.StdEncoding.EncodeToString(make([]byte, 32))))
	}
	if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: kinds[0], Value: []byte("no event")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	// Where traces go does not matter here; exemplars are of those that go somewhere.
	s.daemon = launch(t, []string{"OTEL_TRACES_EXPORTER=console"}, program, "run", "--config", config(s.daemonAddr))
	s.forward = start(t, "forward", "--config", config(s.forwardAddr))
	s.daemon.untilReady(t, s.daemonAddr)
	s.forward.untilReady(t, s.forwardAddr)
	start(t, "generate", "--brokers", kafka, "--topic", kinds[0], "--rate", "100", "--pause", "1s", "--users", "200", "--traced", "0.1")
	return s
}

// Every metric that the dashboard or an alert names is there, with the labels that
// they name, and Prometheus takes every query.
func TestQueriesFindWhatTheyName(t *testing.T) {
	prometheusProgram(t, "prometheus")
	s := openShop(t)
	p := observe(t, absolute(t, path("deploy/prometheus/alerts.yml")), map[string]string{"nudged": s.daemonAddr, "nudged-forward": s.forwardAddr})
	for _, expr := range []string{
		"nudged_timer_lateness_seconds_count > 5", "sum(nudged_forward_commands_total) > 5", "count_over_time(nudged_send_latency_seconds_count[1h]) > 3",
		"sum(nudged_forward_dead_letters_total) > 0",
		// Whoever is sent something goes on looking at products: the guardrail does not allow it.
		`ALERTS{alertname="NudgedExperimentAlarm", alertstate="firing", experiment="looked_at"}`,
		`ALERTS{alertname="NudgedRulePaused", alertstate="firing", rule="goes_wrong"}`,
	} {
		eventually(t, expr, func() bool { found, err := p.query(expr); return err == nil && len(found) > 0 })
	}
	grammar := parser.NewParser(parser.Options{})
	for _, q := range queries(t) {
		t.Run(q.where, func(t *testing.T) {
			expr, err := grammar.ParseExpr(q.expr)
			if err != nil {
				t.Fatalf("%s: %v", q.expr, err)
			}
			p.requireNamed(t, q, expr)
			found, err := p.query(q.expr)
			if err != nil {
				t.Fatalf("%s: %v", q.expr, err)
			}
			if q.shown && len(found) == 0 {
				t.Errorf("%s finds nothing", q.expr)
			}
		})
	}
	p.requireVariables(t)
	p.requireRules(t)
	p.requireExemplars(t)
}

// requireNamed: what each selector of an expression selects is there.
func (p *prometheus) requireNamed(t *testing.T, q query, expr parser.Expr) {
	t.Helper()
	parser.Inspect(expr, func(node parser.Node, above []parser.Node) error {
		selector, ok := node.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		series := p.series(t, selector)
		if len(series) == 0 {
			t.Errorf("%s: no series is a %s", q.expr, selector)
			return nil
		}
		has := map[string]bool{}
		for _, s := range series {
			for label := range s {
				has[label] = true
			}
		}
		for _, m := range selector.LabelMatchers {
			if !has[m.Name] {
				t.Errorf("%s: %s has no label %s", q.expr, selector.Name, m.Name)
			}
		}
		for _, n := range above {
			if by, ok := n.(*parser.AggregateExpr); ok && !by.Without {
				for _, label := range by.Grouping {
					if !has[label] {
						t.Errorf("%s: %s has no label %s to group by", q.expr, selector.Name, label)
					}
				}
			}
		}
		return nil
	})
}

// series are the labels of what a selector selects.
func (p *prometheus) series(t *testing.T, s *parser.VectorSelector) []map[string]string {
	t.Helper()
	var matchers []string
	for _, m := range s.LabelMatchers {
		if m.Name != labels.MetricName {
			matchers = append(matchers, m.String())
		}
	}
	var found []map[string]string
	if err := p.ask("/api/v1/series", url.Values{"match[]": {s.Name + "{" + strings.Join(matchers, ",") + "}"}}, &found); err != nil {
		t.Fatal(err)
	}
	return found
}

// requireVariables: the dashboard's choices have something to choose from.
func (p *prometheus) requireVariables(t *testing.T) {
	t.Helper()
	for _, v := range loadDashboard(t).Templating.List {
		inside, ok := strings.CutPrefix(strings.TrimSuffix(v.Query.Query, ")"), "label_values(")
		selector, label, ok2 := strings.Cut(inside, ", ")
		if !ok || !ok2 {
			t.Errorf("variable %s: %s", v.Name, v.Query.Query)
			continue
		}
		var found []string
		selector = strings.ReplaceAll(selector, "$job", "nudged")
		if err := p.ask("/api/v1/label/"+label+"/values", url.Values{"match[]": {selector}}, &found); err != nil || len(found) == 0 {
			t.Errorf("variable %s: %v, %v", v.Name, found, err)
		}
	}
}

// requireRules: Prometheus evaluates every alert.
func (p *prometheus) requireRules(t *testing.T) {
	t.Helper()
	var data struct {
		Groups []struct {
			Rules []struct{ Name, Health, LastError string }
		}
	}
	if err := p.ask("/api/v1/rules", nil, &data); err != nil {
		t.Fatal(err)
	}
	healthy := 0
	for _, g := range data.Groups {
		for _, r := range g.Rules {
			if r.Health != "ok" {
				t.Errorf("%s is %s: %s", r.Name, r.Health, r.LastError)
			}
			healthy++
		}
	}
	if want := len(alerts(t)); healthy != want {
		t.Errorf("Prometheus has %d alerts, there are %d", healthy, want)
	}
}

// requireExemplars: from lateness and latency there is a way to traces.
func (p *prometheus) requireExemplars(t *testing.T) {
	t.Helper()
	for _, name := range []string{"nudged_timer_lateness_seconds_bucket", "nudged_send_latency_seconds_bucket"} {
		eventually(t, "exemplars of "+name, func() bool {
			var found []struct {
				Exemplars []struct{ Labels map[string]string }
			}
			now := time.Now()
			err := p.ask("/api/v1/query_exemplars", url.Values{
				"query": {name}, "start": {fmt.Sprint(now.Add(-time.Hour).Unix())}, "end": {fmt.Sprint(now.Unix() + 1)},
			}, &found)
			return err == nil && len(found) > 0 && len(found[0].Exemplars) > 0 && found[0].Exemplars[0].Labels["trace_id"] != ""
		})
	}
}
