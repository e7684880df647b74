package app_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/nudged/nudged/internal/app"
	"github.com/nudged/nudged/internal/embedded"
	"github.com/nudged/nudged/internal/funnel"
	"github.com/nudged/nudged/internal/input"
)

const rees46 = "../../examples/rees46/testdata/rees46_2019-10-01_0000-0250.csv.gz"

// A file by its mapping, and a topic that holds the same events, give the same
// funnel; its figures are those of internal/funnel/testdata/rees46.json.
func TestFunnelFromFileAndTopic(t *testing.T) {
	m, err := input.LoadMapping("../../examples/rees46/map.yaml")
	if err != nil {
		t.Fatal(err)
	}
	steps, err := funnel.ParseSteps(funnel.DefaultSteps)
	if err != nil {
		t.Fatal(err)
	}
	brokers, stop, err := embedded.StartKafka(map[string]int32{"events": 4})
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	opts := []kgo.Opt{kgo.SeedBrokers(brokers...)}
	p := app.Produce{Options: opts, Topic: "events", Files: []string{rees46}, Mapping: m, Complain: func(err error) { t.Error(err) }}
	if _, err := p.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	run := func(r app.FunnelReport) (string, *funnel.Result) {
		r.Options = funnel.Options{Steps: steps, By: "brand"}
		r.Category, r.Complain = "category_code", func(err error) { t.Error(err) }
		res, err := r.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := res.Write(&b, "csv"); err != nil {
			t.Fatal(err)
		}
		return b.String(), res
	}
	file, res := run(app.FunnelReport{Files: []string{rees46}, Mapping: m})
	if got := []int{res.Steps[0].Users, res.Steps[2].Users, res.Steps[3].Users, res.Steps[3].AnyOrder}; got[0] != 4504 || got[1] != 111 || got[2] != 62 || got[3] != 193 {
		t.Errorf("users %v, want 4504, 111, 62, 193", got)
	}
	topic, _ := run(app.FunnelReport{Topics: []string{"events"}, Kafka: opts})
	// Within one second the order of events differs, and with it the first brand.
	cut := func(s string) string {
		all, _, _ := strings.Cut(s, "\nsource,")
		return all
	}
	if cut(file) != cut(topic) {
		t.Errorf("from the file\n%s\nfrom the topic\n%s", cut(file), cut(topic))
	}
	// Two hours only.
	_, res = run(app.FunnelReport{Files: []string{rees46}, Mapping: m, From: 1_569_888_000_000, To: 1_569_895_200_000})
	if res.To != "2019-10-01T01:59:57Z" && !strings.HasPrefix(res.To, "2019-10-01T01:5") {
		t.Errorf("limited to two hours it ends at %s", res.To)
	}
}
