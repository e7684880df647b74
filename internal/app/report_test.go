package app_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/nudged/nudged/internal/app"
	"github.com/nudged/nudged/internal/embedded"
	"github.com/nudged/nudged/internal/report"
)

// shopDecisions are decisions on two phases of one experiment and one of another.
func shopDecisions() []string {
	var lines []string
	add := func(kind, experiment, arm string, phase, user, day int, more string) {
		lines = append(lines, fmt.Sprintf(`{"command_id":"%s-%s-%d-%d","decision":"%s","rule":"r","user":"u%d","experiment":"%s","arm":"%s","phase":%d,"fired":"2026-01-%02dT00:00:00Z"%s}`,
			kind, experiment, phase, user, kind, user, experiment, arm, phase, day, more))
	}
	for user := range 400 {
		kind, arm := "control", "control"
		if user%4 > 0 {
			kind, arm = "sent", "treatment"
		}
		add(kind, "coupon", arm, 2, user, 1+user%20, "")
		if user%10 == 3 {
			add("converted", "coupon", arm, 2, user, 2+user%20, `,"value":50`)
		}
		if user < 100 {
			add(kind, "coupon", arm, 1, user, 1, "")
			add(kind, "help", arm, 1, user, 1, "")
		}
		if user%50 == 0 {
			add("holdout", "coupon", "", 2, 1000+user, 3, "")
		}
	}
	lines = append(lines, `{"decision":"cooldown","rule":"r","user":"u9","fired":"2026-01-31T00:00:00Z"}`)
	return lines
}

var shopWeights = map[string]float64{"control": 1, "treatment": 3}

func asText(t *testing.T, reports []*report.Report) string {
	t.Helper()
	var b bytes.Buffer
	// Not JSON: the last digits depend on the order in which users are added up.
	if err := report.Write(&b, "text", reports); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// The topic and a file of the same decisions give the same report.
func TestReportFromTopicAndFile(t *testing.T) {
	lines := shopDecisions()
	path := filepath.Join(t.TempDir(), "decisions.jsonl")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	brokers, stop, err := embedded.StartKafka(map[string]int32{"decisions": 3})
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	opts := []kgo.Opt{kgo.SeedBrokers(brokers...)}
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	for _, line := range lines {
		if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: "decisions", Key: []byte(line[20:40]), Value: []byte(line)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	e := app.ExperimentReport{Experiment: "coupon", Options: report.Options{Weights: shopWeights, Window: 14 * 86_400_000}}
	e.Source = app.DecisionSource{Files: []string{path}, Complain: func(err error) { t.Error(err) }}
	fromFile, err := e.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	e.Options.At = 0
	e.Source.Files, e.Source.Options, e.Source.Topic = nil, opts, "decisions"
	fromTopic, err := e.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if a, b := asText(t, fromFile), asText(t, fromTopic); a != b {
		t.Errorf("from the file\n%s\nfrom the topic\n%s", a, b)
	}
	r := fromFile[0]
	// Mature at 31 January are those exposed up to the 17th: 17 of 20 days.
	if r.Phase != 2 || r.Arms[0].ExposedAll != 100 || r.Arms[1].ExposedAll != 300 || r.Arms[0].Exposed+r.Arms[1].Exposed != 340 || r.Waiting != 60 {
		t.Errorf("phase %d, arms %+v, waiting %d", r.Phase, r.Arms, r.Waiting)
	}
	if r.Holdout == nil || r.Holdout.ExposedAll != 8 {
		t.Errorf("holdout %+v", r.Holdout)
	}
	converted := *r.Arms[0].Converted + *r.Arms[1].Converted
	// Of the 40 all were exposed on the 4th or the 14th.
	if want := 40; converted != want || *r.Arms[0].ValueSum+*r.Arms[1].ValueSum != float64(50*want) {
		t.Errorf("%d converted, want %d", converted, want)
	}
}

func TestReportChoosesExperiments(t *testing.T) {
	path := filepath.Join(t.TempDir(), "decisions.jsonl")
	if err := os.WriteFile(path, []byte(strings.Join(shopDecisions(), "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(name string, phase int) ([]*report.Report, error) {
		e := app.ExperimentReport{Experiment: name, Phase: phase, Options: report.Options{Weights: shopWeights}}
		e.Source = app.DecisionSource{Files: []string{path}, Complain: func(err error) { t.Error(err) }}
		return e.Run(t.Context())
	}
	all, err := run("", 0)
	var got []string
	for _, r := range all {
		got = append(got, fmt.Sprint(r.Experiment, r.Phase))
	}
	if err != nil || !slices.Equal(got, []string{"coupon2", "help1"}) {
		t.Errorf("%v, %v", got, err)
	}
	old, err := run("coupon", 1)
	if err != nil || old[0].Phase != 1 || old[0].Arms[0].Exposed != 25 {
		t.Errorf("%+v, %v", old, err)
	}
	if _, err := run("cupon", 0); err == nil || !strings.Contains(err.Error(), "coupon (phase 2), help (phase 1)") {
		t.Errorf("an experiment that is not there: %v", err)
	}
}

// Weights come from the rules.
func TestReportReadsRules(t *testing.T) {
	dir := t.TempDir()
	decisionsFile, rules := filepath.Join(dir, "decisions.jsonl"), filepath.Join(dir, "rules.yaml")
	const text = `
experiments:
  help:
    arms: [{name: control, weight: 25}, {name: treatment, weight: 75}]
  quiet:
    arms: [{name: control, weight: 50}, {name: treatment, weight: 50}]
rules:
  - name: r
    on: signup
    experiment: help
    send: {channel: push, class: ad, template: t}
  - name: q
    on: signup
    experiment: quiet
    send: {channel: push, class: ad, template: t}
`
	if err := os.WriteFile(rules, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(decisionsFile, []byte(strings.Join(shopDecisions(), "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	e := app.ExperimentReport{Experiment: "help", Rules: rules}
	e.Source = app.DecisionSource{Files: []string{decisionsFile}, Complain: func(err error) { t.Error(err) }}
	r, err := e.Run(t.Context())
	if err != nil || *r[0].Arms[0].Expected != 0.25 || *r[0].SRM.P != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	e.Experiment = "quiet"
	r, err = e.Run(t.Context())
	if err != nil || r[0].Arms[0].ExposedAll != 0 || !strings.Contains(strings.Join(r[0].Notes, " "), "Nobody has been exposed yet") {
		t.Errorf("an experiment that nobody is in yet: %+v, %v", r, err)
	}
}
